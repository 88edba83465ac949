#include "proxy/net/transport.h"

namespace remora::proxy {
namespace {

class RawTransport final : public Transport {
 public:
  bool is_raw() const override { return true; }
  Result Start(Body&) override { return Result::kOk; }
  Result Receive(Body& wire_in, bool wire_eof, Body& plain, Body&) override {
    plain.Append(wire_in);
    return wire_eof ? Result::kEof : Result::kOk;
  }
  Result Send(Body& plain, Body& wire_out) override {
    wire_out.Append(plain);
    return Result::kOk;
  }
  void CloseSending(Body&) override {}
  bool handshake_done() const override { return true; }
  const TlsFacts* facts() const override { return nullptr; }
  absl::string_view alpn() const override { return {}; }
  absl::string_view failure_reason() const override { return {}; }
};

}  // namespace

std::unique_ptr<Transport> MakeRawTransport() { return std::make_unique<RawTransport>(); }

}  // namespace remora::proxy
