#ifndef REMORA_PROXY_STREAM_GRPC_LOG_H_
#define REMORA_PROXY_STREAM_GRPC_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "filters/api/stream_info.h"
#include "proxy/base/stats.h"
#include "proxy/stream/access_log.h"
#include "xds/access_log.h"
#include "xds/config_source.h"

namespace remora::proxy {

class WorkerView;

// Where and how exchanges are logged to a service (envoy.service.accesslog.v3.AccessLogService).
//
// Threads: made on main, const, shared by workers.
struct GrpcLogTarget {
  bool tcp = false;  // entries of TCP connections instead of HTTP ones
  xds::GrpcService service;
  std::string log_name;
  std::string node;  // serialized core.v3.Node
  int64_t flush_ms = 1000;
  uint64_t buffer_size = 16384;  // sent at once when so many bytes wait
  // Lower-case.
  std::vector<std::string> request_headers;
  std::vector<std::string> response_headers;
  std::vector<std::string> response_trailers;
  std::vector<std::string> filter_state_objects;
  std::string key;                   // equal ones share a call
  const StatBlock* stats = nullptr;  // GrpcLogStat; null when nobody counts

  // An error for a sink that is none of these.
  static absl::StatusOr<std::shared_ptr<const GrpcLogTarget>> Make(const xds::AccessLog& config,
                                                                   const LogFiles& files);
};

// "access_logs.grpc_access_log."
enum class GrpcLogStat : uint8_t { kWritten, kDropped };
StatSchema GrpcLogStatSchema();

// One loop's calls to logging services: entries are collected and sent when they are many, or at
// the flush interval. While a service cannot be reached entries wait, up to the buffer's size;
// more are dropped and counted.
//
// Threads: its loop's. Lifetime: the view outlives it.
class GrpcLogs {
 public:
  explicit GrpcLogs(WorkerView* view);
  ~GrpcLogs();

  void Log(const std::shared_ptr<const GrpcLogTarget>& target, const StreamInfo& info,
           LogMoment moment);

 private:
  class Call;
  WorkerView* view_;
  absl::flat_hash_map<std::string, std::unique_ptr<Call>> calls_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_GRPC_LOG_H_
