#include "xds/access_log.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/core/v3/substitution_format_string.pb.h"
#include "envoy/data/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/grpc/v3/als.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "xds/config_source.h"
#include "xds/file.h"
#include "xds/formatting.h"
#include "xds/secret.h"

namespace remora::xds {
namespace {

using FilterProto = envoy::config::accesslog::v3::AccessLogFilter;
namespace loggers = envoy::extensions::access_loggers;

void ParseComparison(const envoy::config::accesslog::v3::ComparisonFilter& proto,
                     AccessLogFilter* out) {
  out->op = static_cast<AccessLogFilter::Op>(proto.op());
  out->value = proto.value().default_value();
  out->runtime_key = proto.value().runtime_key();
}

template <typename List>
void ParseChildren(const List& list, AccessLogFilter* out, ParseContext& context) {
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, "filters", i);
    out->children.push_back(AccessLogFilter::Parse(list[i], context));
  }
}

// Adds what was parsed to a list of one, or says why not.
template <typename T>
void AddParsed(absl::StatusOr<T> parsed, std::vector<T>* out, ParseContext& context) {
  if (parsed.ok()) {
    out->push_back(*std::move(parsed));
  } else {
    context.Error(parsed.status());
  }
}

// Every flag that %RESPONSE_FLAGS% can print, in its short form.
const absl::flat_hash_set<absl::string_view>& KnownFlags() {
  static const auto* const flags = new absl::flat_hash_set<absl::string_view>{
      "LH",   "UH",   "UT",   "LR",   "UR", "UF",  "UC", "UO", "NR",  "DI",
      "FI",   "RL",   "UAEX", "RLSE", "DC", "URX", "SI", "IH", "DPE", "UMSDR",
      "RFCF", "NFCF", "DT",   "UPE",  "NC", "OM",  "DF", "DO", "DR",  "UDO"};
  return *flags;
}

void ParseFlags(const envoy::config::accesslog::v3::ResponseFlagFilter& proto, AccessLogFilter* out,
                ParseContext& context) {
  out->names.assign(proto.flags().begin(), proto.flags().end());
  for (const std::string& name : out->names) {
    if (!KnownFlags().contains(name)) {
      context.ErrorAt("response_flag_filter.flags", absl::StrCat("unknown response flag ", name));
    }
  }
}

void ParseLeaf(const FilterProto& proto, AccessLogFilter* out, ParseContext& context) {
  using Kind = AccessLogFilter::Kind;
  switch (proto.filter_specifier_case()) {
    case FilterProto::kHeaderFilter:
      out->kind = Kind::kHeader;
      AddParsed(HeaderMatcher::Parse(proto.header_filter().header()), &out->header, context);
      break;
    case FilterProto::kResponseFlagFilter:
      out->kind = Kind::kResponseFlag;
      ParseFlags(proto.response_flag_filter(), out, context);
      break;
    case FilterProto::kGrpcStatusFilter:
      out->kind = Kind::kGrpcStatus;
      out->codes.assign(proto.grpc_status_filter().statuses().begin(),
                        proto.grpc_status_filter().statuses().end());
      out->exclude = proto.grpc_status_filter().exclude();
      break;
    case FilterProto::kMetadataFilter:
      out->kind = Kind::kMetadata;
      if (proto.metadata_filter().has_matcher()) {
        AddParsed(MetadataMatcher::Parse(proto.metadata_filter().matcher()), &out->metadata,
                  context);
      }
      out->match_if_key_not_found = !proto.metadata_filter().has_match_if_key_not_found() ||
                                    proto.metadata_filter().match_if_key_not_found().value();
      break;
    case FilterProto::kLogTypeFilter:
      out->kind = Kind::kLogType;
      out->exclude = proto.log_type_filter().exclude();
      for (const int type : proto.log_type_filter().types()) {
        out->names.push_back(envoy::data::accesslog::v3::AccessLogType_Name(
            static_cast<envoy::data::accesslog::v3::AccessLogType>(type)));
      }
      break;
    case FilterProto::kExtensionFilter:
      out->kind = Kind::kExtension;
      out->extension = ParseExtension(proto.extension_filter().name(),
                                      proto.extension_filter().typed_config(), context);
      context.Error(
          absl::StrCat("access log filter ", out->extension.type_url, " is not supported"));
      break;
    default:
      context.Error("an access log filter needs a kind");
  }
}

Formatter::Missing MissingAs(bool omit_empty) {
  return omit_empty ? Formatter::Missing::kEmpty : Formatter::Missing::kDash;
}

Format FromJson(const google::protobuf::Struct& proto, bool omit_empty, ParseContext& context) {
  Format out;
  out.kind = Format::Kind::kJson;
  out.json = MetadataValue::From(proto);
  absl::StatusOr<std::shared_ptr<const Formatter>> formatter =
      Formatter::ParseJson(out.json, MissingAs(omit_empty));
  if (formatter.ok()) {
    out.formatter = *std::move(formatter);
  } else {
    context.Error(formatter.status());
  }
  return out;
}

Format FromText(const std::string& text, bool omit_empty, ParseContext& context) {
  Format out;
  out.kind = Format::Kind::kText;
  FormattedText compiled = CompileText(text, MissingAs(omit_empty), context);
  out.text = std::move(compiled.text);
  out.formatter = std::move(compiled.formatter);
  return out;
}

Format ParseFileFormat(const loggers::file::v3::FileAccessLog& proto, ParseContext& context) {
  using Proto = loggers::file::v3::FileAccessLog;
  switch (proto.access_log_format_case()) {
    case Proto::kFormat: {
      ParseContext::Scope scope(context, "format");
      return FromText(proto.format(), /*omit_empty=*/false, context);
    }
    case Proto::kJsonFormat:
    case Proto::kTypedJsonFormat: {
      const bool typed = proto.access_log_format_case() == Proto::kTypedJsonFormat;
      ParseContext::Scope scope(context, typed ? "typed_json_format" : "json_format");
      return FromJson(typed ? proto.typed_json_format() : proto.json_format(),
                      /*omit_empty=*/false, context);
    }
    case Proto::kLogFormat: {
      ParseContext::Scope scope(context, "log_format");
      return Format::Parse(proto.log_format(), context);
    }
    case Proto::ACCESS_LOG_FORMAT_NOT_SET:
      break;
  }
  return Format();
}

template <typename Proto>
void ParseStream(AccessLog::Sink sink, AccessLog* out, ParseContext& context) {
  Proto proto;
  out->sink = sink;
  if (!DecodeInto(out->extension, &proto, context)) return;
  if (proto.has_log_format()) {
    ParseContext::Scope scope(context, "log_format");
    out->format = Format::Parse(proto.log_format(), context);
  }
}

// Whoever makes the logger reads it; here is said what cannot be.
void CheckGrpc(const loggers::grpc::v3::CommonGrpcAccessLogConfig& proto, ParseContext& context) {
  ParseContext::Scope scope(context, "common_config");
  {
    ParseContext::Scope inner(context, "grpc_service");
    ParseGrpcService(proto.grpc_service(), context);
  }
  if (proto.has_grpc_stream_retry_policy()) context.NotHonoured("grpc_stream_retry_policy");
  if (proto.custom_tags_size() != 0) context.NotHonoured("custom_tags");
}

void ParseSink(AccessLog* out, ParseContext& context) {
  const absl::string_view type = out->extension.type_name();
  if (type == "envoy.extensions.access_loggers.file.v3.FileAccessLog") {
    loggers::file::v3::FileAccessLog proto;
    out->sink = AccessLog::Sink::kFile;
    if (!DecodeInto(out->extension, &proto, context)) return;
    out->path = proto.path();
    const absl::Status writable = CheckWritable(out->path);
    if (!writable.ok()) context.ErrorAt("path", writable.message());
    out->format = ParseFileFormat(proto, context);
  } else if (type == "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog") {
    ParseStream<loggers::stream::v3::StdoutAccessLog>(AccessLog::Sink::kStdout, out, context);
  } else if (type == "envoy.extensions.access_loggers.stream.v3.StderrAccessLog") {
    ParseStream<loggers::stream::v3::StderrAccessLog>(AccessLog::Sink::kStderr, out, context);
  } else if (type == "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig") {
    loggers::grpc::v3::HttpGrpcAccessLogConfig proto;
    if (DecodeInto(out->extension, &proto, context)) CheckGrpc(proto.common_config(), context);
  } else if (type == "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig") {
    loggers::grpc::v3::TcpGrpcAccessLogConfig proto;
    if (DecodeInto(out->extension, &proto, context)) CheckGrpc(proto.common_config(), context);
  } else if (type ==
             "envoy.extensions.access_loggers.open_telemetry.v3."
             "OpenTelemetryAccessLogConfig") {
    out->sink = AccessLog::Sink::kOther;
    context.Warn(absl::StrCat(type, " is known but not honoured yet"));
  } else {
    context.Error(absl::StrCat("Didn't find a registered implementation for '", out->name,
                               "' with type URL: '", type, "'"));
  }
}

}  // namespace

AccessLogFilter AccessLogFilter::Parse(const FilterProto& proto, ParseContext& context) {
  AccessLogFilter out;
  switch (proto.filter_specifier_case()) {
    case FilterProto::kStatusCodeFilter:
      out.kind = Kind::kStatusCode;
      ParseComparison(proto.status_code_filter().comparison(), &out);
      break;
    case FilterProto::kDurationFilter:
      out.kind = Kind::kDuration;
      ParseComparison(proto.duration_filter().comparison(), &out);
      break;
    case FilterProto::kNotHealthCheckFilter:
      out.kind = Kind::kNotHealthCheck;
      break;
    case FilterProto::kTraceableFilter:
      out.kind = Kind::kTraceable;
      break;
    case FilterProto::kRuntimeFilter:
      out.kind = Kind::kRuntime;
      out.runtime_key = proto.runtime_filter().runtime_key();
      out.fraction = FractionalPercent::From(proto.runtime_filter().percent_sampled());
      out.independent_randomness = proto.runtime_filter().use_independent_randomness();
      break;
    case FilterProto::kAndFilter: {
      out.kind = Kind::kAnd;
      ParseContext::Scope scope(context, "and_filter");
      ParseChildren(proto.and_filter().filters(), &out, context);
      break;
    }
    case FilterProto::kOrFilter: {
      out.kind = Kind::kOr;
      ParseContext::Scope scope(context, "or_filter");
      ParseChildren(proto.or_filter().filters(), &out, context);
      break;
    }
    default:
      ParseLeaf(proto, &out, context);
  }
  return out;
}

Format Format::Parse(const envoy::config::core::v3::SubstitutionFormatString& proto,
                     ParseContext& context) {
  using Proto = envoy::config::core::v3::SubstitutionFormatString;
  Format out;
  switch (proto.format_case()) {
    case Proto::kTextFormat: {
      ParseContext::Scope scope(context, "text_format");
      out = FromText(proto.text_format(), proto.omit_empty_values(), context);
      break;
    }
    case Proto::kTextFormatSource: {
      ParseContext::Scope scope(context, "text_format_source");
      out = FromText(ParseDataSource(proto.text_format_source(), context).bytes,
                     proto.omit_empty_values(), context);
      break;
    }
    case Proto::kJsonFormat: {
      ParseContext::Scope scope(context, "json_format");
      out = FromJson(proto.json_format(), proto.omit_empty_values(), context);
      break;
    }
    case Proto::FORMAT_NOT_SET:
      break;
  }
  out.omit_empty_values = proto.omit_empty_values();
  if (proto.has_json_format_options()) {
    out.sort_properties = proto.json_format_options().sort_properties();
  }
  out.content_type = proto.content_type();
  if (proto.formatters_size() != 0) context.NotHonoured("formatters");
  return out;
}

AccessLog AccessLog::Parse(const envoy::config::accesslog::v3::AccessLog& proto,
                           ParseContext& context) {
  AccessLog out;
  out.name = proto.name();
  {
    ParseContext::Scope scope(context, "typed_config");
    out.extension = ParseExtension(proto.name(), proto.typed_config(), context);
    ParseSink(&out, context);
  }
  if (proto.has_filter()) {
    ParseContext::Scope scope(context, "filter");
    out.filter =
        std::make_shared<const AccessLogFilter>(AccessLogFilter::Parse(proto.filter(), context));
  }
  return out;
}

}  // namespace remora::xds
