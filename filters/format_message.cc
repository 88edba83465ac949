// Command operators that read the message: headers, paths, codes, gRPC.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "filters/api/headers.h"
#include "filters/format_fields.h"
#include "filters/grpc_status.h"

namespace remora {
namespace {

enum PathMode { kOriginalOrPath = 0, kOriginal = 1, kPath = 2, kNoQuery = 4 };
enum GrpcMode { kCamel, kSnake, kNumber };

bool IsHeaderName(absl::string_view name) {
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains("!#$%&'*+-.^_`|~:", c)) return false;
  }
  return !name.empty();
}

// "NAME" or "NAME?OTHER".
absl::Status ParseHeaderNames(absl::string_view argument, FormatArgs* args) {
  std::vector<absl::string_view> names = absl::StrSplit(argument, '?');
  if (names.size() > 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("More than 1 alternative header specified in token: ", argument));
  }
  for (absl::string_view name : names) {
    if (!name.empty() && !IsHeaderName(name)) {
      return absl::InvalidArgumentError(
          "Invalid header configuration. Format string contains invalid characters.");
    }
  }
  args->name = absl::AsciiStrToLower(names[0]);
  args->id = LookUpHeader(args->name);
  if (names.size() == 2) {
    args->other = absl::AsciiStrToLower(names[1]);
    args->other_id = LookUpHeader(args->other);
  }
  return absl::OkStatus();
}

std::optional<absl::string_view> Get(const Headers& headers, HeaderId id, const std::string& name) {
  return id == HeaderId::kOther ? headers.Get(name) : headers.Get(id);
}

FormatValue FirstOf(const Headers* headers, const FormatArgs& args) {
  if (headers == nullptr) return {};
  std::optional<absl::string_view> value = Get(*headers, args.id, args.name);
  if (!value && !args.other.empty()) value = Get(*headers, args.other_id, args.other);
  return value ? FormatValue::Text(*value) : FormatValue();
}

FormatValue RequestHeader(const FormatArgs& args, const StreamInfo& info, std::string*) {
  return FirstOf(info.request_headers, args);
}

FormatValue ResponseHeader(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  if (args.id == HeaderId::kStatus && info.response_headers != nullptr) {
    absl::StrAppend(scratch, info.response_headers->status());
    return FormatValue::Text(*scratch);
  }
  return FirstOf(info.response_headers, args);
}

FormatValue ResponseTrailer(const FormatArgs& args, const StreamInfo& info, std::string*) {
  return FirstOf(info.response_trailers, args);
}

FormatValue ProtocolText(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::TextOrMissing(ProtocolName(info.protocol));
}

FormatValue UpstreamProtocol(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::TextOrMissing(ProtocolName(info.upstream_protocol));
}

FormatValue ResponseCode(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::Number(info.response_code);
}

FormatValue ResponseCodeDetails(const FormatArgs& args, const StreamInfo& info,
                                std::string* scratch) {
  if (args.mode == 1 || info.response_code_details.find(' ') == absl::string_view::npos) {
    return FormatValue::TextOrMissing(info.response_code_details);
  }
  // Blanks would break a log into the wrong columns.
  scratch->assign(info.response_code_details.data(), info.response_code_details.size());
  for (char& c : *scratch) {
    if (absl::ascii_isspace(c)) c = '_';
  }
  return FormatValue::Text(*scratch);
}

absl::Status ParseDetails(absl::string_view argument, FormatArgs* args) {
  args->mode = argument == "ALLOW_WHITESPACES" ? 1 : 0;
  return absl::OkStatus();
}

absl::string_view ChosenPath(int mode, const Headers& headers) {
  const absl::string_view original = headers.Value(HeaderId::kXEnvoyOriginalPath);
  if (mode & kPath) return headers.path();
  if ((mode & kOriginal) || !original.empty()) return original;
  return headers.path();
}

FormatValue PathText(const FormatArgs& args, const StreamInfo& info, std::string*) {
  if (info.request_headers == nullptr) return {};
  absl::string_view path = ChosenPath(args.mode, *info.request_headers);
  if (args.mode & kNoQuery) path = path.substr(0, path.find('?'));
  return FormatValue::TextOrMissing(path);
}

absl::Status ParsePathSource(absl::string_view source, FormatArgs* args) {
  if (source == "ORIG") {
    args->mode |= kOriginal;
  } else if (source == "PATH") {
    args->mode |= kPath;
  } else if (!source.empty() && source != "ORIG_OR_PATH") {
    return absl::InvalidArgumentError(absl::StrCat(
        "Invalid PATH option: '", source, "', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed"));
  }
  return absl::OkStatus();
}

absl::Status ParsePathArgs(absl::string_view argument, FormatArgs* args) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(argument, absl::MaxSplits(':', 1));
  if (parts.first == "NQ") {
    args->mode |= kNoQuery;
  } else if (!parts.first.empty() && parts.first != "WQ") {
    return absl::InvalidArgumentError(
        absl::StrCat("Invalid PATH option: '", parts.first, "', only 'WQ'/'NQ' are allowed"));
  }
  return ParsePathSource(parts.second, args);
}

absl::string_view QueryOf(absl::string_view path) {
  const size_t mark = path.find('?');
  if (mark == absl::string_view::npos) return {};
  const absl::string_view query = path.substr(mark + 1);
  return query.substr(0, query.find('#'));
}

FormatValue QueryParams(const FormatArgs& args, const StreamInfo& info, std::string*) {
  if (info.request_headers == nullptr) return {};
  return FormatValue::TextOrMissing(QueryOf(ChosenPath(args.mode, *info.request_headers)));
}

FormatValue QueryParam(const FormatArgs& args, const StreamInfo& info, std::string*) {
  if (info.request_headers == nullptr) return {};
  absl::string_view rest = QueryOf(info.request_headers->path());
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const absl::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) != args.name) continue;
    return FormatValue::Text(pair.substr(std::min(equals + 1, pair.size())));
  }
  return {};
}

absl::Status ParseName(absl::string_view argument, FormatArgs* args) {
  args->name = std::string(argument);
  return absl::OkStatus();
}

FormatValue GrpcStatusText(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  if (info.request_headers == nullptr || !IsGrpcRequest(*info.request_headers)) return {};
  const int status = GrpcStatusOf(info);
  if (args.mode == kNumber) return FormatValue::Number(status);
  const absl::string_view name =
      args.mode == kSnake ? GrpcStatusSnakeName(status) : GrpcStatusName(status);
  if (!name.empty()) return FormatValue::Text(name);
  absl::StrAppend(scratch, status);
  return FormatValue::Text(*scratch);
}

absl::Status ParseGrpcMode(absl::string_view argument, FormatArgs* args) {
  if (argument.empty() || argument == "CAMEL_STRING") {
    args->mode = kCamel;
  } else if (argument == "SNAKE_STRING") {
    args->mode = kSnake;
  } else if (argument == "NUMBER") {
    args->mode = kNumber;
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: ", argument));
  }
  return absl::OkStatus();
}

FormatValue LocalReplyBody(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::Text(info.local_reply_body);
}

constexpr FormatField kFields[] = {
    {"REQ", FormatSyntax::kRequired, RequestHeader, ParseHeaderNames, 0},
    {"REQUEST_HEADER", FormatSyntax::kRequired, RequestHeader, ParseHeaderNames, 0},
    {"RESP", FormatSyntax::kRequired, ResponseHeader, ParseHeaderNames, 0},
    {"RESPONSE_HEADER", FormatSyntax::kRequired, ResponseHeader, ParseHeaderNames, 0},
    {"TRAILER", FormatSyntax::kRequired, ResponseTrailer, ParseHeaderNames, 0},
    {"RESPONSE_TRAILER", FormatSyntax::kRequired, ResponseTrailer, ParseHeaderNames, 0},
    {"PROTOCOL", FormatSyntax::kNone, ProtocolText, nullptr, 0},
    {"UPSTREAM_PROTOCOL", FormatSyntax::kNone, UpstreamProtocol, nullptr, 0},
    {"RESPONSE_CODE", FormatSyntax::kNone, ResponseCode, nullptr, 0},
    {"RESPONSE_CODE_DETAILS", FormatSyntax::kOptional, ResponseCodeDetails, ParseDetails, 0},
    {"PATH", FormatSyntax::kOptional, PathText, ParsePathArgs, kOriginalOrPath},
    {"QUERY_PARAM", FormatSyntax::kRequired, QueryParam, ParseName, 0},
    {"QUERY_PARAMS", FormatSyntax::kOptional, QueryParams, ParsePathSource, kOriginalOrPath},
    {"GRPC_STATUS", FormatSyntax::kOptional, GrpcStatusText, ParseGrpcMode, kCamel},
    {"GRPC_STATUS_NUMBER", FormatSyntax::kNone, GrpcStatusText, nullptr, kNumber},
    {"LOCAL_REPLY_BODY", FormatSyntax::kNone, LocalReplyBody, nullptr, 0},
};

}  // namespace

absl::Span<const FormatField> MessageFormatFields() { return kFields; }

}  // namespace remora
