#include "proxy/stream/network_filter.h"

#include <utility>

#include "proxy/stream/http_worker.h"

namespace remora::proxy {

NetworkChain::NetworkChain(HttpWorker* worker, Connection* connection, StreamInfo* info,
                           const NetworkFactories& factories)
    : worker_(worker), connection_(connection), info_(info) {
  filters_.reserve(factories.size());
  for (const auto& factory : factories) filters_.push_back(factory->Create(*this));
  for (const auto& filter : filters_) {
    if (filter->wants_data()) readers_.push_back(filter.get());
  }
  // What listener filters noted stays.
  if (info->dynamic_metadata != nullptr) metadata_ = *info->dynamic_metadata;
  connection_->SetGate(this);
}

NetworkChain::~NetworkChain() { OnConnectionClosed(); }

bool NetworkChain::Begin() {
  for (const auto& filter : filters_) {
    if (filter->OnNewConnection() == NetworkFilter::Verdict::kStop) return false;
  }
  return !connection_->closed();
}

bool NetworkChain::Admit(bool eof) {
  for (size_t i = 0; i < readers_.size();) {
    NetworkFilter* filter = readers_[i];
    if (filter->OnData(eof) == NetworkFilter::Verdict::kStop) return false;
    if (filter->wants_data()) {
      ++i;
    } else {
      readers_.erase(readers_.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  return true;
}

void NetworkChain::OnConnectionClosed() {
  if (std::exchange(closed_told_, true)) return;
  for (const auto& filter : filters_) filter->OnClosed();
}

void NetworkChain::SetState(absl::string_view key, std::string text) {
  state_.texts[std::string(key)] = std::move(text);
  info_->filter_state = &state_;
  connection_->info().filter_state = &state_;
}

void NetworkChain::SetMetadata(absl::string_view space, absl::string_view key,
                               MetadataValue value) {
  MetadataValue& fields = metadata_.namespaces[std::string(space)];
  if (fields.mutable_fields() == nullptr) fields = MetadataValue::Fields();
  (*fields.mutable_fields())[std::string(key)] = std::move(value);
  info_->dynamic_metadata = &metadata_;
}

void NetworkChain::Close(absl::string_view reason) {
  connection_->info().local_close_reason = reason;
  connection_->Close();
}

}  // namespace remora::proxy
