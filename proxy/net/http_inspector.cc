#include "proxy/net/http_inspector.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// A request line that has not ended by then is taken for something else.
constexpr size_t kMostLine = 64 * 1024;
constexpr size_t kMostMethod = 64;

bool IsMethodChar(char c) {
  return absl::ascii_isalnum(c) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(c) != absl::string_view::npos;
}

}  // namespace

HttpGuess GuessHttp(absl::string_view bytes) {
  // Leading empty lines are forgiven, as parsers do.
  while (!bytes.empty() && (bytes[0] == '\r' || bytes[0] == '\n')) bytes.remove_prefix(1);
  if (bytes.empty()) return HttpGuess::kNeedMore;
  if (absl::StartsWith(bytes, kPreface)) return HttpGuess::kHttp2;
  if (absl::StartsWith(kPreface, bytes)) return HttpGuess::kNeedMore;
  size_t method = 0;
  while (method < bytes.size() && IsMethodChar(bytes[method])) ++method;
  if (method == 0 || method > kMostMethod || (method < bytes.size() && bytes[method] != ' ')) {
    return HttpGuess::kNotHttp;
  }
  const size_t end = bytes.find('\n');
  if (end == absl::string_view::npos)
    return bytes.size() > kMostLine ? HttpGuess::kNotHttp : HttpGuess::kNeedMore;
  absl::string_view line = bytes.substr(0, end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (absl::EndsWith(line, " HTTP/1.1")) return HttpGuess::kHttp11;
  if (absl::EndsWith(line, " HTTP/1.0")) return HttpGuess::kHttp10;
  return HttpGuess::kNotHttp;
}

}  // namespace remora::proxy
