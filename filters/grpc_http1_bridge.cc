// envoy.filters.http.grpc_http1_bridge: gRPC for clients that speak HTTP/1.1 alone.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/grpc_http1_bridge/v3/config.pb.h"
#include "filters/grpc_status.h"
#include "filters/makers.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::grpc_http1_bridge::v3;

constexpr absl::string_view kProtobuf = "application/x-protobuf";
constexpr size_t kFrameHeader = 5;

struct Settings {
  bool upgrade_protobuf = false;
  bool ignore_query = false;
};

class GrpcBridgeFilter final : public HttpFilter {
 public:
  explicit GrpcBridgeFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool end) override;
  Verdict OnRequestBody(Body& body, bool end) override;
  Verdict OnRequestTrailers(Headers&) override {
    if (frames_) Frame(context_->request_buffer());
    return Verdict::kContinue;
  }
  Verdict OnResponseHeaders(Headers& headers, bool end) override {
    framed_ = frames_ && IsGrpcRequest(headers);
    return bridges_ && !end ? Verdict::kBuffer : Verdict::kContinue;
  }
  Verdict OnResponseBody(Body& body, bool end) override {
    if (!bridges_) return Verdict::kContinue;
    if (framed_) Unframe(body);
    size_ += body.size();
    return end ? Verdict::kContinue : Verdict::kBuffer;
  }
  Verdict OnResponseTrailers(Headers& trailers) override;

 private:
  // One message in one frame.
  static void Frame(Body& body) {
    const auto size = static_cast<uint32_t>(body.size());
    char header[kFrameHeader] = {0};
    for (int i = 0; i < 4; ++i) header[i + 1] = static_cast<char>(size >> (24 - 8 * i) & 0xff);
    body.Prepend(absl::string_view(header, kFrameHeader));
  }
  void Unframe(Body& body) {
    const size_t drop = std::min(kFrameHeader - unframed_, body.size());
    body.Consume(drop);
    unframed_ += drop;
  }

  const Settings* settings_;
  bool bridges_ = false;
  bool frames_ = false;
  bool framed_ = false;  // the answer is gRPC
  uint64_t size_ = 0;
  size_t unframed_ = 0;
};

Verdict GrpcBridgeFilter::OnRequestHeaders(Headers& headers, bool end) {
  bool upgraded = false;
  if (settings_->upgrade_protobuf && headers.Value(HeaderId::kContentType) == kProtobuf) {
    upgraded = true;
    headers.SetReference(HeaderId::kContentType, "application/grpc");
    headers.Remove(HeaderId::kContentLength);
  }
  if (!IsGrpcRequest(headers)) return Verdict::kContinue;
  const Protocol protocol = context_->info().protocol;
  if (protocol == Protocol::kHttp10 || protocol == Protocol::kHttp11) {
    bridges_ = true;
    frames_ = upgraded;
    const size_t query = headers.path().find('?');
    if (settings_->ignore_query && query != absl::string_view::npos) {
      headers.set_pseudo(HeaderId::kPath, headers.path().substr(0, query));
    }
  }
  return frames_ && !end ? Verdict::kBuffer : Verdict::kContinue;
}

Verdict GrpcBridgeFilter::OnRequestBody(Body& body, bool end) {
  if (!frames_) return Verdict::kContinue;
  if (!end) return Verdict::kBuffer;
  Body& kept = context_->request_buffer();
  const auto before = kept.size();
  kept.Append(body);
  if (before == 0) {
    body.Swap(kept);
    Frame(body);
    return Verdict::kContinue;
  }
  Frame(kept);
  return Verdict::kContinue;
}

Verdict GrpcBridgeFilter::OnResponseTrailers(Headers& trailers) {
  if (!bridges_) return Verdict::kContinue;
  Headers& headers = *context_->response_headers();
  if (const std::optional<absl::string_view> status = trailers.Get(HeaderId::kGrpcStatus)) {
    uint64_t code = 0;
    if (!absl::SimpleAtoi(*status, &code) || code != 0) headers.set_status(503);
    headers.Set(HeaderId::kGrpcStatus, *status);
  }
  if (const std::optional<absl::string_view> message = trailers.Get(HeaderId::kGrpcMessage)) {
    headers.Set(HeaderId::kGrpcMessage, *message);
  }
  // All of it is here: clients can tell a whole answer by its length.
  headers.Set(HeaderId::kContentLength, absl::AlphaNum(size_).Piece());
  return Verdict::kContinue;
}

class GrpcBridgeFactory final : public FilterFactory {
 public:
  explicit GrpcBridgeFactory(Settings settings) : settings_(settings) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(GrpcBridgeFilter))) GrpcBridgeFilter(&settings_);
  }

 private:
  Settings settings_;
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::Config> proto = DecodeConfig<pb::Config>(config);
  if (!proto.ok()) return proto.status();
  return std::make_shared<GrpcBridgeFactory>(
      Settings{proto->upgrade_protobuf_to_grpc(), proto->ignore_query_parameters()});
}

}  // namespace

HttpFilterType GrpcHttp1BridgeFilterType() {
  return {"envoy.extensions.filters.http.grpc_http1_bridge.v3.Config", &Make, {}, nullptr};
}

}  // namespace remora
