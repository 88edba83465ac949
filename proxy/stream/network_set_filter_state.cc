// envoy.filters.network.set_filter_state: notes texts about the connection for those behind it.
#include <string>
#include <utility>
#include <vector>

#include "filters/formatter.h"
#include "proxy/stream/network_makers.h"
#include "xds/network_filter.h"

namespace remora::proxy {
namespace {

using Settings = xds::SetFilterState;

class SetFilterStateFilter final : public NetworkFilter {
 public:
  SetFilterStateFilter(NetworkChain& chain, const Settings& settings)
      : chain_(chain), settings_(settings) {}

  Verdict OnNewConnection() override {
    Note(settings_.on_new_connection);
    waiting_ =
        !settings_.on_downstream_tls_handshake.empty() || !settings_.on_downstream_data.empty();
    return Verdict::kContinue;
  }

  bool wants_data() const override { return waiting_; }

  // The first bytes come right after the handshake; nothing in front of them reads the state.
  Verdict OnData(bool) override {
    waiting_ = false;
    if (chain_.connection().info().tls != nullptr) Note(settings_.on_downstream_tls_handshake);
    Note(settings_.on_downstream_data);
    return Verdict::kContinue;
  }

 private:
  void Note(const std::vector<Settings::Value>& values) {
    for (const Settings::Value& value : values) {
      std::string text = value.fixed;
      if (value.formatter != nullptr) {
        text.clear();
        value.formatter->Format(chain_.info(), &text);
      }
      if (text.empty() && value.skip_if_empty) continue;
      chain_.SetState(value.key, std::move(text));
    }
  }

  NetworkChain& chain_;
  const Settings& settings_;
  bool waiting_ = true;
};

class SetFilterStateFactory final : public NetworkFilterFactory {
 public:
  explicit SetFilterStateFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)) {}
  std::unique_ptr<NetworkFilter> Create(NetworkChain& chain) const override {
    return std::make_unique<SetFilterStateFilter>(chain, *settings_);
  }

 private:
  std::shared_ptr<const Settings> settings_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeSetFilterState(
    std::shared_ptr<const xds::NetworkSettings> settings, const NetworkFactoryInput&) {
  return std::make_shared<SetFilterStateFactory>(
      std::static_pointer_cast<const Settings>(std::move(settings)));
}

}  // namespace remora::proxy
