#include "filters/grpc_status.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "filters/api/headers.h"

namespace remora {
namespace {

struct Names {
  absl::string_view camel;
  absl::string_view snake;
};
constexpr Names kNames[] = {
    {"OK", "OK"},
    {"Canceled", "CANCELLED"},
    {"Unknown", "UNKNOWN"},
    {"InvalidArgument", "INVALID_ARGUMENT"},
    {"DeadlineExceeded", "DEADLINE_EXCEEDED"},
    {"NotFound", "NOT_FOUND"},
    {"AlreadyExists", "ALREADY_EXISTS"},
    {"PermissionDenied", "PERMISSION_DENIED"},
    {"ResourceExhausted", "RESOURCE_EXHAUSTED"},
    {"FailedPrecondition", "FAILED_PRECONDITION"},
    {"Aborted", "ABORTED"},
    {"OutOfRange", "OUT_OF_RANGE"},
    {"Unimplemented", "UNIMPLEMENTED"},
    {"Internal", "INTERNAL"},
    {"Unavailable", "UNAVAILABLE"},
    {"DataLoss", "DATA_LOSS"},
    {"Unauthenticated", "UNAUTHENTICATED"},
};
constexpr int kCount = 17;
constexpr int kUnknown = 2;
constexpr int kUnavailable = 14;

std::optional<int> StatusIn(const Headers* headers) {
  if (headers == nullptr) return std::nullopt;
  const std::optional<absl::string_view> text = headers->Get(HeaderId::kGrpcStatus);
  if (!text || text->empty()) return std::nullopt;
  int status = 0;
  return absl::SimpleAtoi(*text, &status) ? status : -1;
}

}  // namespace

bool IsGrpcRequest(const Headers& request) {
  constexpr absl::string_view kType = "application/grpc";
  const absl::string_view type = request.Value(HeaderId::kContentType);
  if (!absl::StartsWith(type, kType)) return false;
  return type.size() == kType.size() || type[kType.size()] == '+' || type[kType.size()] == ';';
}

int GrpcStatusOfHttp(int http_status) {
  switch (http_status) {
    case 400:
      return 13;  // INTERNAL
    case 401:
      return 16;  // UNAUTHENTICATED
    case 403:
      return 7;  // PERMISSION_DENIED
    case 404:
      return 12;  // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

int GrpcStatusOf(const StreamInfo& info) {
  if (const std::optional<int> status = StatusIn(info.response_trailers)) return *status;
  if (const std::optional<int> status = StatusIn(info.response_headers)) return *status;
  return GrpcStatusOfHttp(info.response_code);
}

absl::string_view GrpcStatusName(int status) {
  return status < 0 || status >= kCount ? absl::string_view() : kNames[status].camel;
}

absl::string_view GrpcStatusSnakeName(int status) {
  return status < 0 || status >= kCount ? absl::string_view() : kNames[status].snake;
}

int GrpcStatusNumber(absl::string_view snake_name) {
  for (int i = 0; i < kCount; ++i) {
    if (kNames[i].snake == snake_name) return i;
  }
  return -1;
}

void AppendGrpcMessage(absl::string_view text, std::string* out) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (c < ' ' || c >= '\x7f' || c == '%') {
      out->push_back('%');
      out->push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out->push_back(kHex[c & 15]);
    } else {
      out->push_back(c);
    }
  }
}

}  // namespace remora
