// The state of the process, and its end.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "google/protobuf/util/time_util.h"
#include "proxy/base/log.h"
#include "proxy/main/admin/page_handlers.h"
#include "xds/config_dump.h"

namespace remora::proxy {
namespace {

using envoy::admin::v3::CommandLineOptions;
using envoy::admin::v3::ServerInfo;
using google::protobuf::util::TimeUtil;

ServerInfo::State StateOf(ServerState state) {
  return static_cast<ServerInfo::State>(static_cast<int>(state));
}

CommandLineOptions::Mode ModeOf(Options::Mode mode) {
  switch (mode) {
    case Options::Mode::kValidate:
      return CommandLineOptions::Validate;
    case Options::Mode::kInitOnly:
      return CommandLineOptions::InitOnly;
    case Options::Mode::kServe:
      break;
  }
  return CommandLineOptions::Serve;
}

std::string Pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  return absl::StrJoin(pairs, ",", absl::PairFormatter(":"));
}

void FillLogOptions(const Options& options, CommandLineOptions* out) {
  out->set_log_level(options.log_level);
  out->set_component_log_level(Pairs(options.component_log_levels));
  out->set_log_format(options.log_format.empty() ? std::string(kDefaultLogFormat)
                                                 : options.log_format);
  out->set_log_format_escaped(options.log_format_escaped);
  out->set_log_path(options.log_path);
  out->set_enable_fine_grain_logging(options.fine_grain_logging);
  *out->mutable_file_flush_interval() =
      TimeUtil::MillisecondsToDuration(options.file_flush_interval_ms);
  out->set_skip_deprecated_logs(options.skip_deprecated_logs);
}

void FillLifeOptions(const Options& options, CommandLineOptions* out) {
  *out->mutable_drain_time() = TimeUtil::SecondsToDuration(options.drain_time_s);
  out->set_drain_strategy(options.drain_strategy == Options::DrainStrategy::kImmediate
                              ? CommandLineOptions::Immediate
                              : CommandLineOptions::Gradual);
  *out->mutable_parent_shutdown_time() =
      TimeUtil::SecondsToDuration(options.parent_shutdown_time_s);
  out->set_disable_hot_restart(options.disable_hot_restart);
  out->set_restart_epoch(options.restart_epoch);
  out->set_base_id(options.base_id);
  out->set_use_dynamic_base_id(options.use_dynamic_base_id);
  out->set_base_id_path(options.base_id_path);
  out->set_socket_path(options.socket_path);
  out->set_socket_mode(options.socket_mode);
}

void FillOptions(const Options& options, CommandLineOptions* out) {
  out->set_concurrency(options.concurrency);
  out->set_config_path(options.config_path);
  out->set_config_yaml(options.config_yaml);
  out->set_allow_unknown_static_fields(options.allow_unknown_static_fields);
  out->set_reject_unknown_dynamic_fields(options.reject_unknown_dynamic_fields);
  out->set_ignore_unknown_dynamic_fields(options.ignore_unknown_dynamic_fields);
  out->set_admin_address_path(options.admin_address_path);
  out->set_local_address_ip_version(options.prefer_ipv6 ? CommandLineOptions::v6
                                                        : CommandLineOptions::v4);
  out->set_service_cluster(options.service_cluster);
  out->set_service_node(options.service_node);
  out->set_service_zone(options.service_zone);
  out->set_mode(ModeOf(options.mode));
  out->set_cpuset_threads(options.cpuset_threads);
  for (const auto& [name, value] : options.stats_tags)
    out->add_stats_tag(absl::StrCat(name, ":", value));
  FillLogOptions(options, out);
  FillLifeOptions(options, out);
}

AdminResponse Ok() {
  AdminResponse response;
  response.body = "OK\n";
  return response;
}

}  // namespace

AdminResponse HelpPage(AdminPages& /*pages*/, const AdminRequest& /*request*/) {
  AdminResponse response;
  response.body = AdminHelp();
  return response;
}

AdminResponse ReadyPage(AdminPages& pages, const AdminRequest& /*request*/) {
  const ServerState state = pages.state().state();
  AdminResponse response;
  response.status = state == ServerState::kLive ? 200 : 503;
  response.body = ServerInfo::State_Name(StateOf(state)) + "\n";
  return response;
}

AdminResponse ServerInfoPage(AdminPages& pages, const AdminRequest& /*request*/) {
  AdminState& state = pages.state();
  const Options& options = state.options();
  ServerInfo info;
  info.set_version(VersionText());
  info.set_state(StateOf(state.state()));
  *info.mutable_uptime_current_epoch() = TimeUtil::SecondsToDuration(state.uptime_s());
  *info.mutable_uptime_all_epochs() = TimeUtil::SecondsToDuration(state.uptime_s());
  info.set_hot_restart_version(HotRestartVersion(options));
  FillOptions(options, info.mutable_command_line_options());
  info.mutable_node()->ParseFromString(state.bootstrap().node.original);
  AdminResponse response;
  response.content_type = kAdminJson;
  response.body = xds::ToJson(info, /*always_print_primitives=*/true);
  return response;
}

AdminResponse HotRestartVersionPage(AdminPages& pages, const AdminRequest& /*request*/) {
  AdminResponse response;
  response.body = HotRestartVersion(pages.state().options());
  return response;
}

AdminResponse HealthCheckFailPage(AdminPages& pages, const AdminRequest& /*request*/) {
  pages.state().SetHealthCheckFailing(true);
  return Ok();
}

AdminResponse HealthCheckOkPage(AdminPages& pages, const AdminRequest& /*request*/) {
  pages.state().SetHealthCheckFailing(false);
  return Ok();
}

AdminResponse DrainListenersPage(AdminPages& pages, const AdminRequest& request) {
  pages.state().DrainListeners(request.Has("inboundonly"), request.Has("graceful"),
                               request.Has("skip_exit"));
  return Ok();
}

AdminResponse QuitPage(AdminPages& pages, const AdminRequest& /*request*/) {
  pages.state().Quit();
  return Ok();
}

}  // namespace remora::proxy
