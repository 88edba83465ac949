#include "proxy/main/update_stats.h"

#include <xxhash.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proxy/main/server_stats.h"

namespace remora::proxy {
namespace {

std::string PrefixOf(const xds::UpdateEvent& event) {
  switch (event.resource) {
    case xds::ResourceKind::kCluster:
      return "cluster_manager.cds.";
    case xds::ResourceKind::kListener:
      return "listener_manager.lds.";
    case xds::ResourceKind::kEndpoints:
      return absl::StrCat("cluster.", event.name, ".");
    case xds::ResourceKind::kRouteTable:
      return absl::StrCat("http.rds.", event.name, ".");
    case xds::ResourceKind::kSecret:
      break;
  }
  return absl::StrCat("sds.", event.name, ".");
}

}  // namespace

void CountUpdate(const xds::UpdateEvent& event, const std::string& version, StatStore& stats) {
  const bool whole = event.resource == xds::ResourceKind::kCluster || event.resource == xds::ResourceKind::kListener;
  if (!whole && event.name.empty()) return;
  const auto scope = stats.MainScope<UpdateStat>(stats.Register(PrefixOf(event), UpdateStatSchema()));
  switch (event.kind) {
    case xds::UpdateEvent::Kind::kAttempt:
      scope.Add(UpdateStat::kAttempt);
      break;
    case xds::UpdateEvent::Kind::kSuccess:
      scope.Add(UpdateStat::kSuccess);
      scope.Add(UpdateStat::kConfigReload);
      scope.Set(UpdateStat::kUpdateTime, static_cast<uint64_t>(absl::ToUnixMillis(absl::Now())));
      scope.Set(UpdateStat::kVersion, version.empty() ? 0 : XXH64(version.data(), version.size(), 0));
      break;
    case xds::UpdateEvent::Kind::kRejected:
      scope.Add(UpdateStat::kRejected);
      break;
    case xds::UpdateEvent::Kind::kFailure:
      scope.Add(UpdateStat::kFailure);
      break;
    case xds::UpdateEvent::Kind::kFetchTimeout:
      scope.Add(UpdateStat::kInitFetchTimeout);
      break;
    case xds::UpdateEvent::Kind::kWarning:
      break;
  }
}

}  // namespace remora::proxy
