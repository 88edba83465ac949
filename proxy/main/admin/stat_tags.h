#ifndef REMORA_PROXY_MAIN_ADMIN_STAT_TAGS_H_
#define REMORA_PROXY_MAIN_ADMIN_STAT_TAGS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "xds/bootstrap.h"

namespace remora::proxy {

// A statistic's name with its variable parts taken out as tags, as Prometheus wants it:
// "cluster.web.upstream_rq_503" is "cluster.upstream_rq" with envoy.response_code=503 and
// envoy.cluster_name=web.
struct TaggedName {
  std::string name;
  std::vector<std::pair<std::string, std::string>> tags;  // in order of extraction
};

// Envoy's default tags, and those of `stats_config.stats_tags`. Main thread, while a scrape is
// written.
class TagExtractor {
 public:
  TagExtractor(const xds::StatsConfig& config,
               std::vector<std::pair<std::string, std::string>> fixed);
  ~TagExtractor();

  TaggedName Extract(absl::string_view name) const;

 private:
  struct Custom;

  bool defaults_;
  std::vector<std::unique_ptr<Custom>> custom_;
  std::vector<std::pair<std::string, std::string>> fixed_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_STAT_TAGS_H_
