#include "proxy/stream/access_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/stream/grpc_log.h"

namespace remora::proxy {

absl::string_view LogMomentName(LogMoment moment) {
  switch (moment) {
    case LogMoment::kDownstreamStart:
      return "DownstreamStart";
    case LogMoment::kDownstreamPeriodic:
      return "DownstreamPeriodic";
    case LogMoment::kTunnelEstablished:
      return "DownstreamTunnelSuccessfullyEstablished";
    case LogMoment::kTcpConnectionEnd:
      return "TcpConnectionEnd";
    case LogMoment::kTcpPeriodic:
      return "TcpPeriodic";
    case LogMoment::kTcpStart:
      return "TcpConnectionStart";
    case LogMoment::kTcpUpstreamConnected:
      return "TcpUpstreamConnected";
    case LogMoment::kConnectionEnd:
      return "NotSet";
    case LogMoment::kDownstreamEnd:
      break;
  }
  return "DownstreamEnd";
}

absl::StatusOr<AccessLog> AccessLog::Make(const std::vector<xds::AccessLog>& configs,
                                          LogFiles& files) {
  AccessLog out;
  for (const xds::AccessLog& config : configs) {
    Sink sink;
    sink.filter = config.filter;
    sink.formatter =
        config.format.formatter == nullptr ? Formatter::Default() : config.format.formatter;
    switch (config.sink) {
      case xds::AccessLog::Sink::kFile: {
        absl::StatusOr<std::shared_ptr<const LogFile>> file = files.Open(config.path);
        if (!file.ok()) return file.status();
        sink.file = *std::move(file);
        break;
      }
      case xds::AccessLog::Sink::kStdout:
        sink.file = files.Stdout();
        break;
      case xds::AccessLog::Sink::kStderr:
        sink.file = files.Stderr();
        break;
      case xds::AccessLog::Sink::kOther: {
        absl::StatusOr<std::shared_ptr<const GrpcLogTarget>> target =
            GrpcLogTarget::Make(config, files);
        if (!target.ok()) return target.status();
        sink.grpc = *std::move(target);
        break;
      }
    }
    out.sinks_.push_back(std::move(sink));
  }
  return out;
}

void AccessLog::Log(const StreamInfo& info, LogMoment moment, const Runtime* runtime,
                    uint64_t random, LogWriter& writer) const {
  for (const Sink& sink : sinks_) {
    if (sink.filter != nullptr && !PassesLogFilter(*sink.filter, {info, moment, runtime, random})) {
      continue;
    }
    if (sink.grpc != nullptr) {
      if (writer.grpc() != nullptr) writer.grpc()->Log(sink.grpc, info, moment);
      continue;
    }
    sink.formatter->Format(info, writer.Buffer(sink.file));
    writer.Written(*sink.file);
  }
}

}  // namespace remora::proxy
