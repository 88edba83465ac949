#include "proxy/main/tls_contexts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace remora::proxy {
namespace {

template <typename Context>
std::vector<std::shared_ptr<const Context>> Alive(
    const absl::flat_hash_map<std::string, std::weak_ptr<const Context>>& known) {
  std::vector<std::shared_ptr<const Context>> alive;
  for (const auto& [key, context] : known) {
    if (std::shared_ptr<const Context> held = context.lock()) alive.push_back(std::move(held));
  }
  return alive;
}

// Adds what tells one secret's state from another's: the object itself, which an update replaces.
void AddIdentity(const xds::Secret* secret, std::string* identity) {
  absl::StrAppend(identity, "|", reinterpret_cast<uintptr_t>(secret));
}

constexpr StatDef kFactoryStats[] = {
    {"ssl_context_update_by_sds", StatKind::kCounter},
    {"upstream_context_secrets_not_ready", StatKind::kCounter},
    {"downstream_context_secrets_not_ready", StatKind::kCounter},
};

}  // namespace

StatSchema SslFactoryStatSchema() { return kFactoryStats; }

void TlsContexts::CountSecrets(const std::string& prefix, const std::string& owner,
                               const std::vector<const xds::Secret*>& secrets) {
  const StatBlock* block = stats_->Register(prefix, kFactoryStats);
  std::vector<const xds::Secret*>& before = counted_[absl::StrCat(prefix, "|", owner)];
  for (const xds::Secret* secret : secrets) {
    if (std::count(before.begin(), before.end(), secret) == 0) {
      stats_->MainScope<SslFactoryStat>(block).Add(SslFactoryStat::kUpdateBySds);
    }
  }
  before = secrets;
}

bool TlsContexts::SetSecrets(std::shared_ptr<const xds::Secrets> secrets) {
  const std::shared_ptr<const xds::Secrets> before = std::exchange(secrets_, std::move(secrets));
  return before != nullptr && before != secrets_;
}

const xds::Secret* TlsContexts::Find(const std::string& name) const {
  if (secrets_ == nullptr) return nullptr;
  const auto found = secrets_->find(name);
  return found == secrets_->end() ? nullptr : found->second.get();
}

TlsContexts::Resolved TlsContexts::Resolve(const xds::CommonTls& common) const {
  Resolved resolved;
  resolved.certificates = common.certificates;
  for (const xds::SecretRef& ref : common.certificate_refs) {
    const xds::Secret* secret = Find(ref.name);
    const auto* certificate =
        secret == nullptr ? nullptr : std::get_if<xds::TlsCertificate>(&secret->value);
    if (certificate == nullptr) {
      resolved.complete = false;
      continue;
    }
    resolved.certificates.push_back(*certificate);
    AddIdentity(secret, &resolved.identity);
    if (ref.source) resolved.delivered.push_back(secret);
  }
  resolved.validation = common.validation;
  if (!common.validation_ref) return resolved;
  const xds::Secret* secret = Find(common.validation_ref->name);
  const auto* validation =
      secret == nullptr ? nullptr : std::get_if<xds::ValidationContext>(&secret->value);
  if (validation == nullptr) {
    resolved.complete = false;
    return resolved;
  }
  resolved.validation =
      resolved.validation ? xds::MergeValidation(*resolved.validation, *validation) : *validation;
  AddIdentity(secret, &resolved.identity);
  if (common.validation_ref->source) resolved.delivered.push_back(secret);
  return resolved;
}

absl::StatusOr<std::shared_ptr<const ServerTlsContext>> TlsContexts::ForServer(
    const xds::DownstreamTls& tls, const std::string& stat_prefix) {
  Resolved resolved = Resolve(tls.common);
  CountSecrets(absl::StrCat(stat_prefix, "server_ssl_socket_factory."), tls.key,
               resolved.delivered);
  std::optional<xds::SessionTicketKeys> tickets = tls.ticket_keys;
  if (tls.ticket_keys_ref) {
    const xds::Secret* secret = Find(tls.ticket_keys_ref->name);
    const auto* keys =
        secret == nullptr ? nullptr : std::get_if<xds::SessionTicketKeys>(&secret->value);
    if (keys == nullptr) return std::shared_ptr<const ServerTlsContext>();
    tickets = *keys;
    AddIdentity(secret, &resolved.identity);
  }
  if (!resolved.complete) return std::shared_ptr<const ServerTlsContext>();
  const std::string key = absl::StrCat(stat_prefix, "|", tls.key, resolved.identity);
  std::weak_ptr<const ServerTlsContext>& slot = servers_[key];
  if (std::shared_ptr<const ServerTlsContext> held = slot.lock()) return held;
  absl::StatusOr<std::shared_ptr<const ServerTlsContext>> made =
      ServerTlsContext::Make(tls, {std::move(resolved.certificates), std::move(resolved.validation),
                                   std::move(tickets), stats_, stat_prefix});
  if (made.ok()) slot = *made;
  Sweep();
  return made;
}

absl::StatusOr<std::shared_ptr<const ClientTlsContext>> TlsContexts::ForClient(
    const xds::UpstreamTls& tls, const std::string& stat_prefix) {
  Resolved resolved = Resolve(tls.common);
  CountSecrets(absl::StrCat(stat_prefix, "client_ssl_socket_factory."), tls.key,
               resolved.delivered);
  if (!resolved.complete) return std::shared_ptr<const ClientTlsContext>();
  const std::string key = absl::StrCat(stat_prefix, "|", tls.key, resolved.identity);
  std::weak_ptr<const ClientTlsContext>& slot = clients_[key];
  if (std::shared_ptr<const ClientTlsContext> held = slot.lock()) return held;
  absl::StatusOr<std::shared_ptr<const ClientTlsContext>> made =
      ClientTlsContext::Make(tls, {std::move(resolved.certificates), std::move(resolved.validation),
                                   std::nullopt, stats_, stat_prefix});
  if (made.ok()) slot = *made;
  Sweep();
  return made;
}

// Forgets contexts that nobody uses any more.
void TlsContexts::Sweep() {
  absl::erase_if(servers_, [](const auto& entry) { return entry.second.expired(); });
  absl::erase_if(clients_, [](const auto& entry) { return entry.second.expired(); });
}

std::vector<std::shared_ptr<const ServerTlsContext>> TlsContexts::servers() const {
  return Alive(servers_);
}

std::vector<std::shared_ptr<const ClientTlsContext>> TlsContexts::clients() const {
  return Alive(clients_);
}

std::vector<ContextCertificates> TlsContexts::Certificates() const {
  std::vector<ContextCertificates> all;
  for (const auto& context : servers()) all.push_back(context->certificates());
  for (const auto& context : clients()) all.push_back(context->certificates());
  return all;
}

uint64_t TlsContexts::DaysUntilFirstExpiry() const {
  int64_t first = INT64_MAX;
  for (const ContextCertificates& context : Certificates()) {
    for (const auto* list : {&context.trusted, &context.chain}) {
      for (const CertificateFacts& certificate : *list)
        first = std::min(first, certificate.expires_s);
    }
  }
  if (first == INT64_MAX) return UINT32_MAX;
  return static_cast<uint64_t>(
      std::max<int64_t>(0, (first - absl::ToUnixSeconds(absl::Now())) / 86400));
}

}  // namespace remora::proxy
