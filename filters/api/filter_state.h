#ifndef REMORA_FILTERS_API_FILTER_STATE_H_
#define REMORA_FILTERS_API_FILTER_STATE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace remora {

// Texts that filters noted about a connection or an exchange, by key ("envoy.tcp_proxy.cluster").
// One loop's; owned by what it is about.
struct FilterState {
  std::map<std::string, std::string, std::less<>> texts;
  // What filters of one kind share, by a key of theirs; nobody else knows its type.
  std::map<std::string, std::shared_ptr<void>, std::less<>> objects;
  // Of the connection, where this is an exchange's; may be null.
  const FilterState* parent = nullptr;

  // Null when nothing was noted.
  const std::string* Find(absl::string_view key) const {
    const auto found = texts.find(std::string(key));
    if (found != texts.end()) return &found->second;
    return parent == nullptr ? nullptr : parent->Find(key);
  }
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_FILTER_STATE_H_
