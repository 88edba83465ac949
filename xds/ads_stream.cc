#include "xds/ads_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace remora::xds {

AdsStream::AdsStream(AdsWorld* world, std::string method, AdsSession* session, Hooks hooks)
    : world_(world),
      method_(std::move(method)),
      session_(session),
      hooks_(std::move(hooks)),
      backoff_(health::Backoff::ForXds()) {}

AdsStream::~AdsStream() = default;

void AdsStream::Start() { Connect(); }

void AdsStream::Connect() {
  retry_.reset();
  answered_ = false;
  call_ = world_->Open(server_, method_, this);
  if (call_ == nullptr && server_ != 0) {
    server_ = 0;
    call_ = world_->Open(server_, method_, this);
  }
  if (call_ == nullptr) {
    Retry(absl::UnavailableError("no server to ask"));
    return;
  }
  session_->OnStreamOpened();
  Pump();
}

void AdsStream::Pump() {
  while (call_ != nullptr) {
    std::optional<std::string> request = session_->NextRequest();
    if (!request) return;
    call_->Send(*std::move(request));
  }
}

void AdsStream::OnCallMessage(absl::string_view bytes) {
  if (!answered_) {
    answered_ = true;
    backoff_.Reset();
    if (hooks_.on_connected) hooks_.on_connected(true);
  }
  absl::StatusOr<std::optional<Response>> response = session_->OnMessage(bytes);
  if (!response.ok()) {
    call_.reset();
    Retry(response.status());
    return;
  }
  if (!response->has_value()) return;
  hooks_.on_response(**response);
  Pump();
}

void AdsStream::OnCallEnd(const absl::Status& status) {
  call_.reset();
  Retry(status);
}

void AdsStream::Retry(const absl::Status& status) {
  session_->OnStreamClosed();
  if (hooks_.on_connected) hooks_.on_connected(false);
  if (hooks_.on_failure) hooks_.on_failure();
  if (hooks_.log) {
    hooks_.log(absl::StrCat(method_, " config stream closed: ", static_cast<int>(status.code()),
                            ", ", std::string(status.message())));
  }
  // A server that never answered is passed over for the next one, if there is one.
  if (!answered_) ++server_;
  retry_ = world_->After(backoff_.Next(world_->random()), [this] { Connect(); });
}

}  // namespace remora::xds
