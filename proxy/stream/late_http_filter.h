#ifndef REMORA_PROXY_STREAM_LATE_HTTP_FILTER_H_
#define REMORA_PROXY_STREAM_LATE_HTTP_FILTER_H_

#include <memory>
#include <string>

#include "proxy/stream/http_service.h"
#include "proxy/upstream/cluster.h"
#include "xds/extension_config.h"

namespace remora::proxy {

// A filter whose configuration came by ECDS, ready to serve in the chains of one stat prefix. Each
// exchange takes the one of its snapshot, so that a new configuration needs no new listener.
//
// Threads: made on main, const, shared by workers.
struct LateHttpFilter final : LateFilter {
  std::shared_ptr<const xds::ExtensionConfig> made_of;
  xds::HttpFilterConfig config;
  HttpService::Filter filter;  // refers to `config`

  // The filter that takes the place of `chained`, which names its discovery.
  static std::shared_ptr<const LateHttpFilter> Make(
      const xds::HttpFilterConfig& chained, std::shared_ptr<const xds::ExtensionConfig> made_of,
      absl::string_view stat_prefix, StatStore& stats);
};

// What stands for all of a chain while the configuration of one of its filters is missing: answers
// 500, flag NFCF.
const HttpService::Filter& MissingFilter();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_LATE_HTTP_FILTER_H_
