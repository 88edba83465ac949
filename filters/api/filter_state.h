#ifndef REMORA_FILTERS_API_FILTER_STATE_H_
#define REMORA_FILTERS_API_FILTER_STATE_H_

#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace remora {

// Texts that filters noted about a connection or an exchange, by key ("envoy.tcp_proxy.cluster").
// One loop's; owned by what it is about.
struct FilterState {
  std::map<std::string, std::string, std::less<>> texts;

  // Null when nothing was noted.
  const std::string* Find(absl::string_view key) const {
    const auto found = texts.find(std::string(key));
    return found == texts.end() ? nullptr : &found->second;
  }
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_FILTER_STATE_H_
