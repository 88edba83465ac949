// envoy.filters.http.buffer: holds a request until all of its body is there, up to a limit.
#include <optional>

#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/buffer/v3/buffer.pb.h"
#include "filters/makers.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::buffer::v3;

struct RouteSetting {
  std::optional<uint32_t> most;  // absent: the filter is off here
};

class BufferFilter final : public HttpFilter {
 public:
  explicit BufferFilter(uint32_t most) : most_(most) {}

  Verdict OnRequestHeaders(Headers& headers, bool end) override {
    const auto* route = static_cast<const RouteSetting*>(context_->route_config());
    const std::optional<uint32_t> most = route == nullptr ? std::optional(most_) : route->most;
    // A request that becomes a tunnel has no end to wait for.
    if (end || !most || headers.Has(HeaderId::kUpgrade) || headers.method() == "CONNECT") {
      return Verdict::kContinue;
    }
    holding_ = true;
    context_->set_request_buffer_limit(*most);
    return Verdict::kBuffer;
  }

  Verdict OnRequestBody(Body& body, bool end) override {
    if (!holding_) return Verdict::kContinue;
    size_ += body.size();
    if (!end) return Verdict::kBuffer;
    return Complete();
  }

  Verdict OnRequestTrailers(Headers&) override {
    return holding_ ? Complete() : Verdict::kContinue;
  }

 private:
  // The upstream is told the length now that it is known.
  Verdict Complete() {
    holding_ = false;
    Headers* headers = context_->request_headers();
    if (headers != nullptr && !headers->Has(HeaderId::kContentLength)) {
      headers->Add(HeaderId::kContentLength, absl::AlphaNum(size_).Piece());
    }
    return Verdict::kContinue;
  }

  uint32_t most_;
  uint64_t size_ = 0;
  bool holding_ = false;
};

class BufferFactory final : public FilterFactory {
 public:
  explicit BufferFactory(uint32_t most) : most_(most) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(BufferFilter))) BufferFilter(most_);
  }

 private:
  uint32_t most_;
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::Buffer> proto = DecodeConfig<pb::Buffer>(config);
  if (!proto.ok()) return proto.status();
  return std::make_shared<BufferFactory>(proto->max_request_bytes().value());
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::BufferPerRoute> proto = DecodeConfig<pb::BufferPerRoute>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<RouteSetting>();
  if (!proto->disabled() && proto->has_buffer()) {
    out->most = proto->buffer().max_request_bytes().value();
  }
  return std::shared_ptr<const void>(std::move(out));
}

}  // namespace

HttpFilterType BufferFilterType() {
  return {"envoy.extensions.filters.http.buffer.v3.Buffer", &Make,
          "envoy.extensions.filters.http.buffer.v3.BufferPerRoute", &ParseRoute};
}

}  // namespace remora
