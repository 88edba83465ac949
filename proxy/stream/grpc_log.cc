#include "proxy/stream/grpc_log.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/access_loggers/grpc/v3/als.pb.h"
#include "envoy/service/accesslog/v3/als.pb.h"
#include "proxy/base/timer.h"
#include "proxy/grpc/client.h"
#include "proxy/stream/log_entry.h"
#include "proxy/upstream/worker_view.h"
#include "xds/durations.h"
#include "xds/parse_context.h"

namespace remora::proxy {
namespace {

namespace loggers = envoy::extensions::access_loggers::grpc::v3;
using Message = envoy::service::accesslog::v3::StreamAccessLogsMessage;

constexpr char kMethod[] = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";

constexpr StatDef kStats[] = {
    {"logs_written", StatKind::kCounter},
    {"logs_dropped", StatKind::kCounter},
};

template <typename List>
std::vector<std::string> LowerCase(const List& list) {
  std::vector<std::string> out;
  for (const std::string& name : list) out.push_back(absl::AsciiStrToLower(name));
  return out;
}

absl::Status ReadCommon(const loggers::CommonGrpcAccessLogConfig& proto, GrpcLogTarget* out) {
  xds::ParseContext context(xds::ParseContext::Origin::kDynamic);
  out->service = xds::ParseGrpcService(proto.grpc_service(), context);
  out->log_name = proto.log_name();
  if (proto.has_buffer_flush_interval()) {
    out->flush_ms = absl::ToInt64Milliseconds(xds::FromProto(proto.buffer_flush_interval()));
  }
  if (proto.has_buffer_size_bytes()) out->buffer_size = proto.buffer_size_bytes().value();
  out->filter_state_objects.assign(proto.filter_state_objects_to_log().begin(),
                                   proto.filter_state_objects_to_log().end());
  return context.status();
}

}  // namespace

StatSchema GrpcLogStatSchema() { return kStats; }

absl::StatusOr<std::shared_ptr<const GrpcLogTarget>> GrpcLogTarget::Make(
    const xds::AccessLog& config, const LogFiles& files) {
  auto out = std::make_shared<GrpcLogTarget>();
  loggers::HttpGrpcAccessLogConfig http;
  loggers::TcpGrpcAccessLogConfig tcp;
  absl::Status status;
  if (config.extension.type_name() == http.GetDescriptor()->full_name()) {
    if (!http.ParseFromString(config.extension.value))
      return absl::InvalidArgumentError("malformed HttpGrpcAccessLogConfig");
    status = ReadCommon(http.common_config(), out.get());
    out->request_headers = LowerCase(http.additional_request_headers_to_log());
    out->response_headers = LowerCase(http.additional_response_headers_to_log());
    out->response_trailers = LowerCase(http.additional_response_trailers_to_log());
  } else if (config.extension.type_name() == tcp.GetDescriptor()->full_name()) {
    if (!tcp.ParseFromString(config.extension.value))
      return absl::InvalidArgumentError("malformed TcpGrpcAccessLogConfig");
    status = ReadCommon(tcp.common_config(), out.get());
    out->tcp = true;
  } else {
    return absl::UnimplementedError(absl::StrCat("access log '", config.name, "' of type ",
                                                 config.extension.type_name(),
                                                 " is not supported"));
  }
  if (!status.ok()) return status;
  out->node = files.node();
  out->key = absl::StrCat(config.extension.type_url, "|", config.extension.value);
  if (files.stats() != nullptr) {
    out->stats = files.stats()->Register("access_logs.grpc_access_log.", kStats);
  }
  return std::shared_ptr<const GrpcLogTarget>(std::move(out));
}

// The entries for one service and the call they go by.
class GrpcLogs::Call final : private GrpcStreamEvents {
 public:
  Call(WorkerView* view, std::shared_ptr<const GrpcLogTarget> target)
      : view_(view),
        target_(std::move(target)),
        timer_(
            &view->loop().timers(), [](void* self) { static_cast<Call*>(self)->OnTimer(); }, this) {
    timer_.StartMs(target_->flush_ms);
  }
  ~Call() {
    Flush();
    if (stream_ != nullptr) stream_->CloseSend();
  }

  void Log(const StreamInfo& info, LogMoment moment) {
    if (waiting_ >= target_->buffer_size) Flush();
    if (waiting_ > 0 && waiting_ >= target_->buffer_size) return Count(GrpcLogStat::kDropped);
    if (target_->tcp) {
      auto* entry = message_.mutable_tcp_logs()->add_log_entry();
      FillTcpEntry(*target_, info, moment, entry);
      waiting_ += entry->ByteSizeLong();
    } else {
      auto* entry = message_.mutable_http_logs()->add_log_entry();
      FillHttpEntry(*target_, info, moment, entry);
      waiting_ += entry->ByteSizeLong();
    }
    Count(GrpcLogStat::kWritten);
    if (waiting_ >= target_->buffer_size) Flush();
  }

 private:
  void OnTimer() {
    Flush();
    timer_.StartMs(target_->flush_ms);
  }

  void Flush() {
    if (waiting_ == 0 || full_) return;
    if (stream_ == nullptr) {
      GrpcCallOptions options;
      options.method = kMethod;
      options.authority = target_->service.authority;
      options.metadata = target_->service.initial_metadata;
      stream_ = OpenGrpcStream(*view_, target_->service.cluster, options, this);
      // Each call begins by saying who logs.
      auto* identifier = message_.mutable_identifier();
      identifier->mutable_node()->ParseFromString(target_->node);
      identifier->set_log_name(target_->log_name);
    }
    full_ = !stream_->Send(message_.SerializeAsString());
    message_.Clear();
    waiting_ = 0;
  }

  void Count(GrpcLogStat stat) {
    if (target_->stats == nullptr) return;
    StatScope<GrpcLogStat>(view_->stats().Cells(*target_->stats)).Add(stat);
  }

  void OnGrpcMessage(Body& /*message*/) override {}
  void OnGrpcSendDrained() override { full_ = false; }
  void OnGrpcClosed(const GrpcStatus& /*status*/, const Headers* /*trailers*/) override {
    full_ = false;
    stream_.reset();
  }

  WorkerView* view_;
  std::shared_ptr<const GrpcLogTarget> target_;
  Message message_;
  uint64_t waiting_ = 0;  // bytes of entries in `message_`
  bool full_ = false;     // the call takes no more at the moment
  std::unique_ptr<GrpcStream> stream_;
  Timer timer_;
};

GrpcLogs::GrpcLogs(WorkerView* view) : view_(view) {}
GrpcLogs::~GrpcLogs() = default;

void GrpcLogs::Log(const std::shared_ptr<const GrpcLogTarget>& target, const StreamInfo& info,
                   LogMoment moment) {
  std::unique_ptr<Call>& call = calls_[target->key];
  if (call == nullptr) call = std::make_unique<Call>(view_, target);
  call->Log(info, moment);
}

}  // namespace remora::proxy
