#include "xds/control/session.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace remora::control {
namespace {

constexpr size_t kMaxNames = 65536;
// How long listeners and routes wait for a client to ask for the endpoints of
// clusters it has just been told. Every client that means to asks at once.
constexpr absl::Duration kMaxHold = absl::Seconds(2);

}  // namespace

Session::Session(Spelling spelling)
    : spelling_(spelling),
      subs_{Subscription(spelling, true), Subscription(spelling, false),
            Subscription(spelling, true), Subscription(spelling, false),
            Subscription(spelling, false)},
      resources_(std::make_shared<NodeResources>()) {}

absl::StatusOr<std::optional<std::string>> Session::OnAsk(const DiscoveryAsk& ask, absl::Time now) {
  const std::optional<Type> type = TypeOf(ask.type_url);
  // A type that we never have: the client waits for it in vain, as the
  // protocol has it.
  if (!type.has_value()) return std::nullopt;
  Subscription& sub = Of(*type);
  const bool answers = sub.open() && ask.nonce == sub.nonce();
  const bool stale = sub.asked() && ask.nonce != sub.nonce();
  std::optional<std::string> rejected;
  if (answers) {
    sub.Close();
    rejected = ask.error;
    if (*type == Type::kCluster) hold_until_ = now + kMaxHold;
  }
  if (spelling_ == Spelling::kDelta) {
    sub.Change(ask.names, ask.unsubscribe, ask.known);
  } else if (!stale) {
    // A stale list is followed by a fresh one, with the right nonce.
    sub.SetNames(ask.names);
  }
  if (sub.size() > kMaxNames) {
    return absl::ResourceExhaustedError("too many resource names");
  }
  return rejected;
}

void Session::SetResources(std::shared_ptr<const NodeResources> resources) {
  const bool routes = Of(Type::kListener).asked() || Of(Type::kRoute).asked();
  NodeResources merged;
  bool keeping = false;
  for (Type type : {Type::kCluster, Type::kEndpoint}) {
    merged.Of(type) = resources->Of(type);
    for (const auto& entry : Effective(type)) {
      keeping |= merged.Of(type).insert(entry).second;
    }
  }
  resources_ = std::move(resources);
  keeping_ = routes && keeping;
  merged_ = keeping_ ? std::move(merged) : NodeResources();
  for (Subscription& sub : subs_) sub.Touch();
}

const ResourceMap& Session::Effective(Type type) const {
  const bool kept = keeping_ && (type == Type::kCluster || type == Type::kEndpoint);
  return kept ? merged_.Of(type) : resources_->Of(type);
}

bool Session::Held(Type type, absl::Time now) {
  if (type != Type::kListener && type != Type::kRoute) return false;
  Subscription& clusters = Of(Type::kCluster);
  Subscription& endpoints = Of(Type::kEndpoint);
  if (clusters.open() || endpoints.open()) return true;
  if (!clusters.asked() || now >= hold_until_) return false;
  const ResourceMap& known = Effective(Type::kEndpoint);
  return hold_until_ != absl::InfiniteFuture() &&
         !std::all_of(known.begin(), known.end(),
                      [&](const auto& entry) { return endpoints.Wants(entry.first); });
}

bool Session::Settled() {
  return std::all_of(kTypeOrder.begin(), kTypeOrder.end(), [this](Type type) {
    return !Of(type).open() && !Of(type).HasDue(Effective(type));
  });
}

DiscoveryAnswer Session::Answer(Type type, Due due, absl::Time now) {
  DiscoveryAnswer answer{type, "", absl::StrCat(++answers_), {}, {}};
  std::string all;
  for (const auto& [name, resource] : due.resources) {
    absl::StrAppend(&all, name, "=", resource->version, "\n");
  }
  answer.version = VersionOf(all);
  const std::vector<std::string> fresh = Of(type).Sent(due, answer.nonce);
  if (type == Type::kCluster) {
    hold_until_ = now + kMaxHold;
    Subscription& endpoints = Of(Type::kEndpoint);
    for (const std::string& name : fresh) {
      if (endpoints.Wants(name)) endpoints.Owe(name);
    }
  }
  answer.resources = std::move(due.resources);
  answer.removed = std::move(due.removed);
  return answer;
}

std::optional<DiscoveryAnswer> Session::Next(absl::Time now) {
  for (Type type : kTypeOrder) {
    Subscription& sub = Of(type);
    if (!sub.asked() || sub.open()) continue;
    Due due = sub.FindDue(Effective(type));
    if (!due.any || Held(type, now)) continue;
    return Answer(type, std::move(due), now);
  }
  if (now >= hold_until_) hold_until_ = absl::InfiniteFuture();
  if (!keeping_ || !Settled()) return std::nullopt;
  keeping_ = false;
  merged_ = NodeResources();
  Of(Type::kCluster).Touch();
  Of(Type::kEndpoint).Touch();
  return Next(now);
}

}  // namespace remora::control
