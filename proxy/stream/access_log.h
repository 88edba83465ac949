#ifndef REMORA_PROXY_STREAM_ACCESS_LOG_H_
#define REMORA_PROXY_STREAM_ACCESS_LOG_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/api/stream_info.h"
#include "filters/formatter.h"
#include "filters/runtime.h"
#include "proxy/stream/log_file.h"
#include "xds/access_log.h"

namespace remora::proxy {

struct GrpcLogTarget;

// When a line is written (%ACCESS_LOG_TYPE%, log_type_filter).
enum class LogMoment : uint8_t {
  kDownstreamEnd,       // an exchange is over
  kDownstreamStart,     // flush_access_log_on_new_request
  kDownstreamPeriodic,  // access_log_flush_interval
  kTunnelEstablished,
  kTcpConnectionEnd,
  kTcpPeriodic,
  kTcpStart,              // flush_access_log_on_start
  kTcpUpstreamConnected,  // flush_access_log_on_connected
  kConnectionEnd,         // of a listener: has no name of its own
};
absl::string_view LogMomentName(LogMoment moment);

// The configured access logs of one connection manager, TCP proxy or listener.
//
// Threads: made on main, const, shared by workers; what changes is in the LogWriter.
class AccessLog {
 public:
  AccessLog() = default;
  // Opens the files. A sink that Remora does not have is an error that names it.
  static absl::StatusOr<AccessLog> Make(const std::vector<xds::AccessLog>& configs,
                                        LogFiles& files);

  bool empty() const { return sinks_.empty(); }
  // One line per sink whose filter lets the exchange pass. `random` decides sampling filters,
  // `runtime` may be null.
  void Log(const StreamInfo& info, LogMoment moment, const Runtime* runtime, uint64_t random,
           LogWriter& writer) const;

 private:
  struct Sink {
    std::shared_ptr<const xds::AccessLogFilter> filter;
    std::shared_ptr<const Formatter> formatter;
    std::shared_ptr<const LogFile> file;
    std::shared_ptr<const GrpcLogTarget> grpc;  // in place of a file
  };
  std::vector<Sink> sinks_;
};

// Whether an exchange passes a filter; also decides local_reply_config's mappers.
struct LogFilterInput {
  const StreamInfo& info;
  LogMoment moment = LogMoment::kDownstreamEnd;
  const Runtime* runtime = nullptr;
  uint64_t random = 0;
};
bool PassesLogFilter(const xds::AccessLogFilter& filter, const LogFilterInput& input);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_ACCESS_LOG_H_
