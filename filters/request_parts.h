#ifndef REMORA_FILTERS_REQUEST_PARTS_H_
#define REMORA_FILTERS_REQUEST_PARTS_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"

namespace remora {

// Parts of a request that credentials come in. Threads: any; no state.

// "http://host/path?query" as the client asked for it, with at most `most_path` bytes of the path.
std::string OriginalUrl(const Headers& request, size_t most_path = 256);

// :path without query and fragment, and the query without its '?'.
absl::string_view PathOnly(absl::string_view path);
absl::string_view QueryOnly(absl::string_view path);
std::string PercentDecode(absl::string_view text);

// The first value of a query parameter, decoded; nullopt when absent.
std::optional<std::string> QueryValue(absl::string_view path, absl::string_view name);
// Takes every parameter of that name out of :path.
void RemoveQueryParameter(Headers& request, absl::string_view name);

// Calls fn(name, value) for each cookie of the request; quotes around values are stripped.
void ForEachCookie(const Headers& request,
                   const std::function<void(absl::string_view, absl::string_view)>& fn);
// The first cookie of that name; nullopt when absent.
std::optional<absl::string_view> CookieValue(const Headers& request, absl::string_view name);
void RemoveCookie(Headers& request, absl::string_view name);

}  // namespace remora

#endif  // REMORA_FILTERS_REQUEST_PARTS_H_
