#include "proxy/main/listener_stats.h"

#include <iterator>
#include <vector>

#include "absl/strings/match.h"

namespace remora::proxy {
namespace {

constexpr StatDef kListener[] = {
    {"downstream_cx_destroy", StatKind::kCounter},
    {"downstream_cx_overflow", StatKind::kCounter},
    {"downstream_cx_overload_reject", StatKind::kCounter},
    {"downstream_cx_total", StatKind::kCounter},
    {"downstream_cx_transport_socket_connect_timeout", StatKind::kCounter},
    {"downstream_global_cx_overflow", StatKind::kCounter},
    {"downstream_listener_filter_error", StatKind::kCounter},
    {"downstream_listener_filter_remote_close", StatKind::kCounter},
    {"downstream_pre_cx_timeout", StatKind::kCounter},
    {"extension_config_missing", StatKind::kCounter},
    {"network_extension_config_missing", StatKind::kCounter},
    {"no_filter_chain_match", StatKind::kCounter},
    {"downstream_cx_active", StatKind::kGauge},
    {"downstream_pre_cx_active", StatKind::kGauge},
    {"downstream_cx_length_ms", StatKind::kHistogram},
    {"connections_accepted_per_socket_event", StatKind::kHistogram},
};

constexpr StatDef kWorker[] = {
    {"downstream_cx_active", StatKind::kGauge},
    {"downstream_cx_total", StatKind::kCounter},
};

}  // namespace

StatSchema ListenerStatSchema() { return kListener; }

StatSchema AdminListenerStatSchema() {
  static const auto* const schema = [] {
    auto* out = new std::vector<StatDef>(std::begin(kListener), std::end(kListener));
    for (StatDef& def : *out) {
      if (absl::EndsWith(def.name, "extension_config_missing")) def.kind = StatKind::kHidden;
    }
    return out;
  }();
  return *schema;
}

StatSchema ListenerWorkerStatSchema() { return kWorker; }

}  // namespace remora::proxy
