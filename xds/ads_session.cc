#include "xds/ads_session.h"

#include <algorithm>
#include <utility>

namespace remora::xds {

AdsSession::Type* AdsSession::FindExisting(absl::string_view url) {
  for (const auto& type : types_) {
    if (type->url == url) return type.get();
  }
  return nullptr;
}

AdsSession::Type& AdsSession::Find(const std::string& url) {
  if (Type* type = FindExisting(url)) return *type;
  types_.push_back(std::make_unique<Type>());
  types_.back()->url = url;
  return *types_.back();
}

void AdsSession::SubscribeAll(const std::string& type_url) {
  Type& type = Find(type_url);
  if (type.wildcard) return;
  type.wildcard = true;
  type.subscription_due = true;
  type.ever_subscribed = true;
}

void AdsSession::SubscribeTo(const std::string& type_url, std::set<std::string> names) {
  Type& type = Find(type_url);
  if (type.names == names) return;
  for (auto held = type.versions.begin(); held != type.versions.end();) {
    held = names.count(held->first) > 0 ? std::next(held) : type.versions.erase(held);
  }
  type.names = std::move(names);
  type.subscription_due = true;
  type.ever_subscribed = type.ever_subscribed || !type.names.empty();
}

void AdsSession::OnStreamOpened() {
  open_ = true;
  node_sent_ = false;
  for (const auto& type : types_) {
    type->nonce.clear();
    type->answers.clear();
    type->announced.clear();
    type->first_request = true;
    type->subscription_due = type->wildcard || !type->names.empty();
  }
}

void AdsSession::OnStreamClosed() {
  open_ = false;
  for (const auto& type : types_) type->answers.clear();
}

absl::StatusOr<std::optional<Response>> AdsSession::OnMessage(absl::string_view bytes) {
  absl::StatusOr<Response> response = Decode(bytes, options_.spelling);
  if (!response.ok()) return response.status();
  Type* type = FindExisting(response->type_url);
  if (type == nullptr || !type->ever_subscribed) return std::nullopt;
  type->nonce = response->nonce;
  return std::optional<Response>(*std::move(response));
}

void AdsSession::StoreVersions(Type& type, const Response& response,
                               const std::set<std::string>& refused) {
  if (options_.spelling != Spelling::kDelta) return;
  for (const WireResource& resource : response.resources) {
    if (refused.count(resource.name) == 0) type.versions[resource.name] = resource.version;
  }
  for (const std::string& name : response.removed) type.versions.erase(name);
}

void AdsSession::Accept(const Response& response) {
  Type& type = Find(response.type_url);
  type.version = response.version;
  StoreVersions(type, response, {});
  type.answers.push_back({response.nonce, ""});
}

void AdsSession::Refuse(const Response& response, const std::string& error,
                        const std::set<std::string>& refused) {
  Type& type = Find(response.type_url);
  StoreVersions(type, response, refused);
  type.answers.push_back({response.nonce, error});
}

// A change that came to nothing before it was said (a name asked for and dropped again) is not
// said: servers take an empty first request for a wildcard, and others for a mistake.
bool AdsSession::SubscriptionDue(const Type& type) const {
  if (!type.subscription_due) return false;
  if (type.wildcard && type.first_request) return true;
  return type.names != type.announced;
}

bool AdsSession::HasRequest() const {
  return open_ && std::any_of(types_.begin(), types_.end(), [this](const auto& type) {
           return !type->answers.empty() || SubscriptionDue(*type);
         });
}

Request AdsSession::MakeSotw(Type& type) {
  Request request;
  request.version = type.version;
  request.nonce = type.nonce;
  if (!type.answers.empty()) {
    request.nonce = type.answers.front().nonce;
    request.error = type.answers.front().error;
    type.answers.pop_front();
  }
  // The names are in every request, so the change is said as well.
  type.subscription_due = false;
  type.announced = type.names;
  request.names.assign(type.names.begin(), type.names.end());
  return request;
}

void AdsSession::AddSubscriptionChange(Type& type, Request& request) {
  type.subscription_due = false;
  for (const std::string& name : type.names) {
    if (type.announced.count(name) == 0) request.subscribe.push_back(name);
  }
  for (const std::string& name : type.announced) {
    if (type.names.count(name) == 0) request.unsubscribe.push_back(name);
  }
  type.announced = type.names;
  if (!type.first_request) return;
  for (const auto& [name, version] : type.versions) {
    if (type.wildcard || type.names.count(name) > 0) request.initial_versions[name] = version;
  }
}

Request AdsSession::MakeDelta(Type& type) {
  Request request;
  if (!type.answers.empty()) {
    request.nonce = type.answers.front().nonce;
    request.error = type.answers.front().error;
    type.answers.pop_front();
    return request;
  }
  AddSubscriptionChange(type, request);
  return request;
}

std::optional<std::string> AdsSession::NextRequest() {
  if (!open_) return std::nullopt;
  // Answers of every type come before what follows from them.
  for (const bool answers : {true, false}) {
    for (const auto& type : types_) {
      if (answers ? type->answers.empty() : !SubscriptionDue(*type)) continue;
      return Say(*type);
    }
  }
  return std::nullopt;
}

std::string AdsSession::Say(Type& type) {
  Request request = options_.spelling == Spelling::kSotw ? MakeSotw(type) : MakeDelta(type);
  request.type_url = type.url;
  if (!node_sent_ || !options_.node_on_first_message_only) request.node = options_.node;
  node_sent_ = true;
  type.first_request = false;
  return Encode(request, options_.spelling);
}

std::string AdsSession::version(const std::string& type_url) const {
  for (const auto& type : types_) {
    if (type->url == type_url) return type->version;
  }
  return "";
}

}  // namespace remora::xds
