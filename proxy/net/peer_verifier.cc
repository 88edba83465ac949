#include "proxy/net/peer_verifier.h"

#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/net/certificate.h"

namespace remora::proxy {

struct PeerVerifier::Trust {
  bssl::UniquePtr<X509_STORE> store;  // null without a trusted CA
  absl::flat_hash_map<std::string, bssl::UniquePtr<X509_STORE>> by_domain;  // SPIFFE
  std::vector<bssl::UniquePtr<X509>> cas;
};

namespace {

absl::Status AddCas(const xds::DataSource& source, X509_STORE* store,
                    std::vector<bssl::UniquePtr<X509>>* cas, std::vector<CertificateFacts>* facts) {
  std::vector<bssl::UniquePtr<X509>> found = ReadPem(source.bytes);
  if (found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("Failed to load trusted CA certificates from ",
                                                   source.file.empty() ? "<inline>" : source.file));
  }
  for (bssl::UniquePtr<X509>& ca : found) {
    X509_STORE_add_cert(store, ca.get());
    facts->push_back(FactsOf(ca.get(), source));
    cas->push_back(std::move(ca));
  }
  return absl::OkStatus();
}

absl::Status AddCrls(const xds::ValidationContext& settings, X509_STORE* store) {
  if (!settings.crl.set) return absl::OkStatus();
  const std::string& pem = settings.crl.bytes;
  const bssl::UniquePtr<BIO> bio(
      BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  size_t count = 0;
  while (true) {
    const bssl::UniquePtr<X509_CRL> crl(
        PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
    if (crl == nullptr) break;
    X509_STORE_add_crl(store, crl.get());
    ++count;
  }
  ERR_clear_error();
  if (count == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "Failed to load CRL from ", settings.crl.file.empty() ? "<inline>" : settings.crl.file));
  }
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK |
                                  (settings.only_verify_leaf_crl ? 0 : X509_V_FLAG_CRL_CHECK_ALL));
  return absl::OkStatus();
}

bssl::UniquePtr<X509_STORE> NewStore() {
  bssl::UniquePtr<X509_STORE> store(X509_STORE_new());
  // An intermediate CA may be what is trusted.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return store;
}

// Expiry is forgiven; everything else is not.
int ForgiveExpiry(int ok, X509_STORE_CTX* context) {
  if (ok) return ok;
  const int error = X509_STORE_CTX_get_error(context);
  if (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID) {
    X509_STORE_CTX_set_error(context, X509_V_OK);
    return 1;
  }
  return ok;
}

// "spiffe://DOMAIN/..." of the leaf; "" when it is not an SVID.
std::string TrustDomainOf(X509* leaf) {
  const SubjectNames names = NamesOf(leaf);
  if (names.uri.size() != 1) return {};
  absl::string_view uri = names.uri[0];
  if (!absl::StartsWith(uri, "spiffe://")) return {};
  uri.remove_prefix(9);
  return std::string(uri.substr(0, uri.find('/')));
}

// A leaf may sign nothing, and must say so (X509-SVID, section 4): without a KeyUsage every usage
// counts as allowed.
bool MaySign(X509* leaf) {
  if (X509_check_ca(leaf) != 0) return true;
  return (X509_get_key_usage(leaf) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0;
}

bool DnsMatches(const StringMatcher& matcher, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (matcher.kind() == StringMatcher::Kind::kExact ? DnsNameCovers(name, matcher.pattern())
                                                      : matcher.Match(name)) {
      return true;
    }
  }
  return false;
}

bool AnyMatches(const StringMatcher& matcher, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return matcher.Match(name); });
}

bool SanMatches(const xds::SanMatcher& san, const SubjectNames& names) {
  if (!san.type) {
    return DnsMatches(san.matcher, names.dns) || AnyMatches(san.matcher, names.uri) ||
           AnyMatches(san.matcher, names.ip) || AnyMatches(san.matcher, names.email);
  }
  switch (*san.type) {
    case xds::SanType::kDns:
      return DnsMatches(san.matcher, names.dns);
    case xds::SanType::kUri:
      return AnyMatches(san.matcher, names.uri);
    case xds::SanType::kIp:
      return AnyMatches(san.matcher, names.ip);
    case xds::SanType::kEmail:
      return AnyMatches(san.matcher, names.email);
    case xds::SanType::kOther:
      return std::any_of(names.other.begin(), names.other.end(),
                         [&](const SubjectNames::OtherName& name) {
                           return name.oid == san.oid && san.matcher.Match(name.value);
                         });
  }
  return false;
}

void AddToFingerprint(SHA256_CTX* sha, absl::string_view text) {
  const uint64_t size = text.size();
  SHA256_Update(sha, &size, sizeof(size));
  SHA256_Update(sha, text.data(), text.size());
}

std::string FingerprintOf(const xds::ValidationContext& settings) {
  SHA256_CTX sha;
  SHA256_Init(&sha);
  AddToFingerprint(&sha, settings.trusted_ca.bytes);
  AddToFingerprint(&sha, settings.crl.bytes);
  for (const xds::SanMatcher& san : settings.san_matchers) {
    AddToFingerprint(
        &sha, absl::StrCat(san.type ? static_cast<int>(*san.type) : -1, "/",
                           static_cast<int>(san.matcher.kind()), "/", san.matcher.ignore_case(),
                           "/", san.oid, "/", san.matcher.pattern()));
  }
  for (const std::string& hash : settings.certificate_hashes) AddToFingerprint(&sha, hash);
  AddToFingerprint(&sha, "spki");
  for (const std::string& hash : settings.spki_hashes) AddToFingerprint(&sha, hash);
  for (const xds::TrustDomain& domain : settings.trust_domains) {
    AddToFingerprint(&sha, domain.name);
    AddToFingerprint(&sha, domain.bundle.bytes);
  }
  AddToFingerprint(&sha, absl::StrCat(settings.system_roots, settings.only_verify_leaf_crl,
                                      settings.allow_expired, settings.accept_untrusted,
                                      settings.max_verify_depth.value_or(100)));
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, &sha);
  return std::string(reinterpret_cast<char*>(digest), sizeof(digest));
}

}  // namespace

PeerVerifier::PeerVerifier() : trust_(std::make_unique<Trust>()) {}
PeerVerifier::~PeerVerifier() = default;

absl::StatusOr<std::unique_ptr<PeerVerifier>> PeerVerifier::Make(
    const std::optional<xds::ValidationContext>& validation, bool peer_is_client) {
  std::unique_ptr<PeerVerifier> verifier(new PeerVerifier);
  verifier->peer_is_client_ = peer_is_client;
  if (!validation) return verifier;
  verifier->has_validation_ = true;
  absl::Status status = verifier->Prepare(*validation);
  if (!status.ok()) return status;
  return verifier;
}

absl::Status PeerVerifier::Prepare(const xds::ValidationContext& validation) {
  settings_ = validation;
  fingerprint_ = FingerprintOf(validation);
  if (!validation.trust_domains.empty()) {
    for (const xds::TrustDomain& domain : validation.trust_domains) {
      bssl::UniquePtr<X509_STORE>& store = trust_->by_domain[domain.name];
      store = NewStore();
      absl::Status status = AddCas(domain.bundle, store.get(), &trust_->cas, &trusted_);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  const bool has_ca = validation.trusted_ca.set && !validation.trusted_ca.bytes.empty();
  if (has_ca || validation.system_roots) {
    trust_->store = NewStore();
    if (has_ca) {
      absl::Status status =
          AddCas(validation.trusted_ca, trust_->store.get(), &trust_->cas, &trusted_);
      if (!status.ok()) return status;
    }
    if (validation.system_roots) X509_STORE_set_default_paths(trust_->store.get());
    ERR_clear_error();
    return AddCrls(validation, trust_->store.get());
  }
  return absl::OkStatus();
}

bool PeerVerifier::asks() const {
  return has_validation_ &&
         (trust_->store != nullptr || !trust_->by_domain.empty() ||
          !settings_.san_matchers.empty() || !settings_.certificate_hashes.empty() ||
          !settings_.spki_hashes.empty());
}

bool PeerVerifier::has_authorities() const {
  return has_validation_ && (trust_->store != nullptr || !trust_->by_domain.empty());
}

void PeerVerifier::AddClientCas(ssl_ctx_st* ctx) const {
  for (const bssl::UniquePtr<X509>& ca : trust_->cas) SSL_CTX_add_client_CA(ctx, ca.get());
}

void PeerVerifier::VerifyChain(ssl_st* ssl, x509_st* leaf, Verdict* verdict) const {
  X509_STORE* store = trust_->store.get();
  if (!trust_->by_domain.empty()) {
    const auto found = trust_->by_domain.find(TrustDomainOf(leaf));
    verdict->failure = Failure::kChain;
    verdict->alert = SSL_AD_UNKNOWN_CA;
    if (MaySign(leaf)) {
      verdict->detail = "verify cert failed: cert precheck";
      return;
    }
    if (found == trust_->by_domain.end()) {
      verdict->detail = "verify cert failed: no trust bundle store";
      return;
    }
    store = found->second.get();
  }
  const bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  STACK_OF(X509)* chain = SSL_get_peer_full_cert_chain(ssl);
  if (!X509_STORE_CTX_init(context.get(), store, leaf, chain) ||
      !X509_STORE_CTX_set_default(context.get(), peer_is_client_ ? "ssl_client" : "ssl_server")) {
    verdict->failure = Failure::kChain;
    verdict->detail = "verify cert failed: init and setup X509_STORE_CTX";
    return;
  }
  if (settings_.max_verify_depth) {
    // The configured depth counts the trust anchor, the library's only what is between.
    const uint32_t depth = std::min<uint32_t>(*settings_.max_verify_depth, INT_MAX);
    X509_VERIFY_PARAM_set_depth(X509_STORE_CTX_get0_param(context.get()),
                                depth == 0 ? 0 : static_cast<int>(depth - 1));
  }
  if (settings_.allow_expired) X509_STORE_CTX_set_verify_cb(context.get(), ForgiveExpiry);
  if (X509_verify_cert(context.get()) == 1) {
    verdict->failure = Failure::kNone;
    return;
  }
  const int error = X509_STORE_CTX_get_error(context.get());
  verdict->failure = Failure::kChain;
  verdict->alert = static_cast<uint8_t>(SSL_alert_from_verify_result(error));
  verdict->detail = absl::StrCat(
      "verify cert failed: X509_verify_cert: certificate verification error at depth ",
      X509_STORE_CTX_get_error_depth(context.get()), ": ", X509_verify_cert_error_string(error));
  ERR_clear_error();
}

std::string PeerVerifier::NamesFault(x509_st* leaf, absl::string_view server_name,
                                     bool server_name_only) const {
  const bool asks_configured = !settings_.san_matchers.empty() && !server_name_only;
  if (!asks_configured && server_name.empty()) return {};
  const SubjectNames names = NamesOf(leaf);
  // Envoy has three wordings: for a name demanded by the request, of the SPIFFE validator, and for
  // all else.
  const auto listed = [&names] { return absl::StrCat("[", absl::StrJoin(names.all, ", "), "]"); };
  const auto unmatched = [&]() -> std::string {
    if (!trust_->by_domain.empty()) return "verify cert failed: SAN match";
    return absl::StrCat("verify cert failed: SAN matcher, certificate SANs are ", listed());
  };
  if (!server_name.empty()) {
    const auto covers = [&](const std::string& name) { return DnsNameCovers(name, server_name); };
    const bool good = std::any_of(names.dns.begin(), names.dns.end(), covers) ||
                      std::find(names.ip.begin(), names.ip.end(), server_name) != names.ip.end();
    if (!good && server_name_only) return unmatched();
    if (!good) {
      return absl::StrCat("verify cert failed: verify SAN list, expected SANs: [", server_name,
                          "], certificate SANs: ", listed());
    }
  }
  if (!asks_configured) return {};
  const auto matches = [&](const xds::SanMatcher& san) { return SanMatches(san, names); };
  if (std::any_of(settings_.san_matchers.begin(), settings_.san_matchers.end(), matches)) return {};
  return unmatched();
}

bool PeerVerifier::CheckPins(x509_st* leaf) const {
  if (settings_.certificate_hashes.empty() && settings_.spki_hashes.empty()) return true;
  const auto among = [](const std::vector<std::string>& hashes, const uint8_t* digest) {
    const std::string text(reinterpret_cast<const char*>(digest), SHA256_DIGEST_LENGTH);
    return std::find(hashes.begin(), hashes.end(), text) != hashes.end();
  };
  uint8_t digest[SHA256_DIGEST_LENGTH];
  if (!settings_.certificate_hashes.empty()) {
    unsigned size = 0;
    if (X509_digest(leaf, EVP_sha256(), digest, &size) &&
        among(settings_.certificate_hashes, digest))
      return true;
  }
  if (!settings_.spki_hashes.empty()) {
    uint8_t* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
    if (size > 0) {
      SHA256(der, static_cast<size_t>(size), digest);
      OPENSSL_free(der);
      if (among(settings_.spki_hashes, digest)) return true;
    }
  }
  return false;
}

PeerVerifier::Verdict PeerVerifier::Verify(ssl_st* ssl, absl::string_view server_name,
                                           bool server_name_only) const {
  Verdict verdict;
  STACK_OF(X509)* chain = SSL_get_peer_full_cert_chain(ssl);
  if (chain == nullptr || sk_X509_num(chain) == 0) {
    verdict.failure = Failure::kChain;
    verdict.detail = "verify cert failed: empty cert chain";
    return verdict;
  }
  X509* leaf = sk_X509_value(chain, 0);
  const bool checks_chain = trust_->store != nullptr || !trust_->by_domain.empty();
  if (checks_chain) VerifyChain(ssl, leaf, &verdict);
  if (verdict.failure == Failure::kNone) {
    std::string fault = NamesFault(leaf, server_name, server_name_only);
    if (!fault.empty()) {
      verdict.failure = Failure::kNames;
      verdict.alert = SSL_AD_BAD_CERTIFICATE;
      verdict.detail = std::move(fault);
    } else if (!CheckPins(leaf)) {
      verdict.failure = Failure::kPins;
      verdict.alert = SSL_AD_BAD_CERTIFICATE;
      verdict.detail = "verify cert failed: cert hash and spki";
    }
  }
  const bool good = verdict.failure == Failure::kNone;
  verdict.accepted = good || settings_.accept_untrusted;
  verdict.validated = good && asks();
  return verdict;
}

}  // namespace remora::proxy
