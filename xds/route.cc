#include "xds/route.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "filters/api/headers.h"
#include "xds/route_tree.h"

namespace remora::xds {
namespace {

// Fewer exact paths in a row than this are faster walked than hashed.
constexpr uint32_t kHashedRun = 8;

// Host names in lower case without a trip to the heap: longer ones than DNS
// allows can match nothing but "*".
class LowerHost {
 public:
  explicit LowerHost(absl::string_view host) {
    size_ = std::min(host.size(), sizeof(text_));
    for (size_t i = 0; i < size_; ++i) text_[i] = absl::ascii_tolower(host[i]);
  }
  absl::string_view view() const { return {text_, size_}; }

 private:
  char text_[512];
  size_t size_;
};

absl::string_view WithoutPort(absl::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == absl::string_view::npos) return host;
  // A bare IPv6 literal has colons and no port.
  if (host.find(']', colon) != absl::string_view::npos) return host;
  if (host.front() != '[' && host.find(':') != colon) return host;
  for (const char c : host.substr(colon + 1)) {
    if (!absl::ascii_isdigit(c)) return host;
  }
  return host.substr(0, colon);
}

}  // namespace

void VirtualHost::IndexPaths(bool ignore_path_parameters) {
  const auto hashable = [&](const Route& route) {
    return route.match.path_kind() == RouteMatch::PathKind::kExact &&
           route.match.case_sensitive() && !ignore_path_parameters;
  };
  uint32_t begin = 0;
  const uint32_t size = static_cast<uint32_t>(routes.size());
  while (begin < size) {
    uint32_t end = begin;
    const bool exact = hashable(routes[begin]);
    while (end < size && hashable(routes[end]) == exact) ++end;
    Segment segment{begin, end, {}};
    if (exact && end - begin >= kHashedRun) {
      for (uint32_t i = begin; i < end; ++i) {
        segment.exact[routes[i].match.path()].push_back(i);
      }
    }
    segments_.push_back(std::move(segment));
    begin = end;
  }
}

const Route* VirtualHost::Match(const RouteQuery& query) const {
  if (tree != nullptr) return tree->Match(query, routes);
  for (const Segment& segment : segments_) {
    if (segment.exact.empty()) {
      for (uint32_t i = segment.begin; i < segment.end; ++i) {
        if (routes[i].match.Match(query)) return &routes[i];
      }
      continue;
    }
    const auto found = segment.exact.find(query.path);
    if (found == segment.exact.end()) continue;
    for (const uint32_t i : found->second) {
      if (routes[i].match.Match(query)) return &routes[i];
    }
  }
  return nullptr;
}

bool InternalRedirectPolicy::Includes(int status) const {
  if (codes.empty()) return status == 302;
  return std::find(codes.begin(), codes.end(), static_cast<uint32_t>(status)) != codes.end();
}

const VirtualCluster* VirtualHost::MatchVirtualCluster(const Headers& headers) const {
  for (const VirtualCluster& cluster : virtual_clusters) {
    if (MatchAll(cluster.headers, headers)) return &cluster;
  }
  return nullptr;
}

const VirtualHost* RouteTable::FindVirtualHost(absl::string_view given_host) const {
  // Most tables hold "*" alone.
  if (exact_.empty() && suffixes_.empty() && prefixes_.empty()) {
    return any_.has_value() ? &virtual_hosts_[*any_] : nullptr;
  }
  if (ignore_port_in_host_matching_) given_host = WithoutPort(given_host);
  const LowerHost lower(given_host);
  const absl::string_view host = lower.view();
  if (const auto found = exact_.find(host); found != exact_.end()) {
    return &virtual_hosts_[found->second];
  }
  for (const WildcardLevel& level : suffixes_) {
    // The star stands for at least one character.
    if (level.length >= host.size()) continue;
    const auto found = level.hosts.find(host.substr(host.size() - level.length));
    if (found != level.hosts.end()) return &virtual_hosts_[found->second];
  }
  for (const WildcardLevel& level : prefixes_) {
    if (level.length >= host.size()) continue;
    const auto found = level.hosts.find(host.substr(0, level.length));
    if (found != level.hosts.end()) return &virtual_hosts_[found->second];
  }
  return any_.has_value() ? &virtual_hosts_[*any_] : nullptr;
}

RouteResult RouteTable::Match(const RouteQuery& query) const {
  RouteResult result;
  absl::string_view host = query.host;
  if (!vhost_header_.empty()) {
    const Header* header = query.headers.Find(vhost_header_);
    host = header == nullptr ? "" : header->value;
  }
  result.virtual_host = FindVirtualHost(host);
  if (result.virtual_host != nullptr) {
    result.route = result.virtual_host->Match(query);
  }
  return result;
}

}  // namespace remora::xds
