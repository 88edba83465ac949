#include "xds/rest_poller.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "xds/rest_encoding.h"
#include "xds/subscriptions.h"

namespace remora::xds {

RestPoller::RestPoller(SubscriptionWorld* world, ResourceKind kind, std::string name,
                       const ApiConfigSource& source, std::string node, Hooks hooks)
    : world_(world),
      kind_(kind),
      name_(std::move(name)),
      source_(source),
      node_(std::move(node)),
      hooks_(std::make_shared<const Hooks>(std::move(hooks))) {}

RestPoller::~RestPoller() { *alive_ = false; }

void RestPoller::Ask() {
  Request request;
  request.type_url = std::string(TypeOf(kind_).type_url);
  request.version = version_;
  request.node = node_;
  if (!name_.empty()) request.names.push_back(name_);
  hooks_->on_attempt();
  fetch_ = world_->Post(source_, RestPath(kind_), EncodeRest(request),
                        [this](int status, absl::string_view body) { OnAnswer(status, body); });
}

void RestPoller::OnAnswer(int status, absl::string_view body) {
  constexpr int kOk = 200;
  constexpr int kNotModified = 304;
  // The hooks may end this poller: nothing of it is touched before that is known.
  const std::shared_ptr<bool> alive = alive_;
  const std::shared_ptr<const Hooks> hooks = hooks_;
  if (status == kOk) {
    const absl::StatusOr<Response> response = DecodeRest(body);
    response.ok() ? hooks->on_response(*response) : hooks->on_failure(response.status());
  } else if (status != kNotModified) {
    hooks->on_failure(absl::UnavailableError(status == 0 ? std::string("no answer")
                                                         : absl::StrCat("answered ", status)));
  }
  if (*alive) Wait();
}

void RestPoller::Wait() {
  fetch_.reset();
  const auto delay = absl::ToChronoNanoseconds(source_.refresh_delay);
  const auto spread = static_cast<uint64_t>(std::max<int64_t>(delay.count(), 1));
  timer_ = world_->After(
      delay + std::chrono::nanoseconds(static_cast<int64_t>(world_->random().Next() % spread)),
      [this] { Ask(); });
}

}  // namespace remora::xds
