#include "xds/secret.h"

#include <cstdlib>
#include <type_traits>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"
#include "xds/extension.h"
#include "xds/file.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;
using DataSourceProto = envoy::config::core::v3::DataSource;

DataSource Sub(const char* field, const DataSourceProto& proto, ParseContext& context) {
  ParseContext::Scope scope(context, field);
  return ParseDataSource(proto, context);
}

void AddFile(const DataSource& source, std::vector<std::string>* files) {
  if (!source.file.empty()) files->push_back(source.file);
}

std::optional<SanType> SanTypeFrom(const tls::SubjectAltNameMatcher& proto) {
  switch (proto.san_type()) {
    case tls::SubjectAltNameMatcher::EMAIL:
      return SanType::kEmail;
    case tls::SubjectAltNameMatcher::DNS:
      return SanType::kDns;
    case tls::SubjectAltNameMatcher::URI:
      return SanType::kUri;
    case tls::SubjectAltNameMatcher::IP_ADDRESS:
      return SanType::kIp;
    case tls::SubjectAltNameMatcher::OTHER_NAME:
      return SanType::kOther;
    default:
      return std::nullopt;
  }
}

void AddSanMatcher(const envoy::type::matcher::v3::StringMatcher& proto,
                   std::optional<SanType> type, const std::string& oid, ValidationContext* out,
                   ParseContext& context) {
  absl::StatusOr<StringMatcher> matcher = StringMatcher::Parse(proto);
  if (!matcher.ok()) return context.Error(matcher.status());
  out->san_matchers.push_back({type, *std::move(matcher), oid});
}

void ParseSans(const tls::CertificateValidationContext& proto, ValidationContext* out,
               ParseContext& context) {
  for (int i = 0; i < proto.match_typed_subject_alt_names_size(); ++i) {
    const auto& item = proto.match_typed_subject_alt_names(i);
    ParseContext::Scope scope(context, "match_typed_subject_alt_names", i);
    const std::optional<SanType> type = SanTypeFrom(item);
    if (type == SanType::kOther && item.oid().empty()) {
      context.ErrorAt("oid", "value is required for OTHER_NAME");
    }
    AddSanMatcher(item.matcher(), type, item.oid(), out, context);
  }
  // The typed list takes precedence over the old one.
  if (proto.match_typed_subject_alt_names_size() != 0) return;
  for (int i = 0; i < proto.match_subject_alt_names_size(); ++i) {
    ParseContext::Scope scope(context, "match_subject_alt_names", i);
    AddSanMatcher(proto.match_subject_alt_names(i), std::nullopt, "", out, context);
  }
}

// 64 hexadecimal digits, or 32 pairs of them with colons between.
std::optional<std::string> HashFromHex(const std::string& text) {
  std::string digits = text;
  if (text.size() == 95) digits = absl::StrReplaceAll(text, {{":", ""}});
  if (digits.size() != 64) return std::nullopt;
  for (const char c : digits) {
    if (!absl::ascii_isxdigit(c)) return std::nullopt;
  }
  return absl::HexStringToBytes(digits);
}

void ParsePins(const tls::CertificateValidationContext& proto, ValidationContext* out,
               ParseContext& context) {
  for (int i = 0; i < proto.verify_certificate_hash_size(); ++i) {
    ParseContext::Scope scope(context, "verify_certificate_hash", i);
    const auto hash = HashFromHex(proto.verify_certificate_hash(i));
    if (!hash.has_value()) {
      context.Error(absl::StrCat("Invalid hex-encoded SHA-256 ", proto.verify_certificate_hash(i)));
    } else {
      out->certificate_hashes.push_back(*hash);
    }
  }
  for (int i = 0; i < proto.verify_certificate_spki_size(); ++i) {
    ParseContext::Scope scope(context, "verify_certificate_spki", i);
    std::string hash;
    if (!absl::Base64Unescape(proto.verify_certificate_spki(i), &hash) || hash.size() != 32) {
      context.Error(
          absl::StrCat("Invalid base64-encoded SHA-256 ", proto.verify_certificate_spki(i)));
    } else {
      out->spki_hashes.push_back(std::move(hash));
    }
  }
}

void ParseCustomValidator(const envoy::config::core::v3::TypedExtensionConfig& proto,
                          ValidationContext* out, ParseContext& context) {
  ParseContext::Scope scope(context, "custom_validator_config");
  const Extension extension = ParseExtension(proto, context);
  tls::SPIFFECertValidatorConfig spiffe;
  if (extension.type_name() != spiffe.GetDescriptor()->full_name()) {
    return context.Error(
        absl::StrCat("certificate validator ", extension.type_url, " is not supported"));
  }
  ParseContext::Scope inner(context, "typed_config");
  if (!DecodeInto(extension, &spiffe, context)) return;
  if (spiffe.has_trust_bundles()) context.NotHonoured("trust_bundles");
  for (int i = 0; i < spiffe.trust_domains_size(); ++i) {
    ParseContext::Scope item(context, "trust_domains", i);
    const auto& domain = spiffe.trust_domains(i);
    for (const TrustDomain& known : out->trust_domains) {
      if (known.name == domain.name()) {
        context.Error(absl::StrCat("Multiple trust bundles are given for one trust domain for ",
                                   domain.name()));
      }
    }
    out->trust_domains.push_back(
        {domain.name(), Sub("trust_bundle", domain.trust_bundle(), context)});
  }
}

}  // namespace

DataSource ParseDataSource(const DataSourceProto& proto, ParseContext& context) {
  DataSource out;
  out.watched_directory = proto.watched_directory().path();
  out.set = true;
  switch (proto.specifier_case()) {
    case DataSourceProto::kFilename: {
      out.file = proto.filename();
      absl::StatusOr<std::string> bytes = ReadFile(out.file);
      if (bytes.ok()) {
        out.bytes = *std::move(bytes);
      } else {
        context.ErrorAt("filename", bytes.status().message());
      }
      break;
    }
    case DataSourceProto::kInlineBytes:
      out.bytes = proto.inline_bytes();
      break;
    case DataSourceProto::kInlineString:
      out.bytes = proto.inline_string();
      break;
    case DataSourceProto::kEnvironmentVariable: {
      const char* value = std::getenv(proto.environment_variable().c_str());
      if (value == nullptr) {
        context.ErrorAt("environment_variable", absl::StrCat("Environment variable doesn't exist: ",
                                                             proto.environment_variable()));
      } else {
        out.bytes = value;
      }
      break;
    }
    case DataSourceProto::SPECIFIER_NOT_SET:
      out.set = false;
      break;
  }
  return out;
}

TlsCertificate ParseTlsCertificate(const tls::TlsCertificate& proto, ParseContext& context) {
  TlsCertificate out;
  out.certificate_chain = Sub("certificate_chain", proto.certificate_chain(), context);
  out.private_key = Sub("private_key", proto.private_key(), context);
  out.pkcs12 = Sub("pkcs12", proto.pkcs12(), context);
  out.password = Sub("password", proto.password(), context);
  out.ocsp_staple = Sub("ocsp_staple", proto.ocsp_staple(), context);
  out.watched_directory = proto.watched_directory().path();
  if (proto.has_private_key_provider()) {
    context.ErrorAt(
        "private_key_provider",
        absl::StrCat("private key provider ", proto.private_key_provider().provider_name(),
                     " is not supported"));
  }
  if (proto.signed_certificate_timestamp_size() != 0) {
    context.NotHonoured("signed_certificate_timestamp");
  }
  return out;
}

ValidationContext ParseValidationContext(const tls::CertificateValidationContext& proto,
                                         ParseContext& context) {
  ValidationContext out;
  out.trusted_ca = Sub("trusted_ca", proto.trusted_ca(), context);
  out.system_roots = proto.has_system_root_certs();
  out.watched_directory = proto.watched_directory().path();
  ParseSans(proto, &out, context);
  ParsePins(proto, &out, context);
  out.crl = Sub("crl", proto.crl(), context);
  out.only_verify_leaf_crl = proto.only_verify_leaf_cert_crl();
  out.allow_expired = proto.allow_expired_certificate();
  out.accept_untrusted =
      proto.trust_chain_verification() == tls::CertificateValidationContext::ACCEPT_UNTRUSTED;
  if (proto.has_max_verify_depth()) {
    out.max_verify_depth = proto.max_verify_depth().value();
  }
  if (proto.has_custom_validator_config()) {
    ParseCustomValidator(proto.custom_validator_config(), &out, context);
  }
  if (proto.require_signed_certificate_timestamp().value()) {
    context.NotHonoured("require_signed_certificate_timestamp");
  }
  if (proto.has_ca_certificate_provider_instance()) {
    context.ErrorAt("ca_certificate_provider_instance", "is not supported");
  }
  return out;
}

SessionTicketKeys ParseSessionTicketKeys(const tls::TlsSessionTicketKeys& proto,
                                         ParseContext& context) {
  SessionTicketKeys out;
  for (int i = 0; i < proto.keys_size(); ++i) {
    ParseContext::Scope scope(context, "keys", i);
    DataSource key = ParseDataSource(proto.keys(i), context);
    if (key.set && key.bytes.size() != 80) {
      context.Error(absl::StrCat("Incorrect TLS session ticket key length. Length ",
                                 key.bytes.size(), ", expected length 80."));
    }
    out.keys.push_back(std::move(key));
  }
  return out;
}

SecretRef ParseSecretRef(const tls::SdsSecretConfig& proto, ParseContext& context) {
  SecretRef out;
  out.name = proto.name();
  if (proto.has_sds_config()) {
    ParseContext::Scope scope(context, "sds_config");
    out.source = ParseConfigSource(proto.sds_config(), context);
  } else if (context.known_secrets() != nullptr && !context.known_secrets()->contains(out.name)) {
    context.Error(absl::StrCat("Unknown static secret: ", out.name));
  }
  return out;
}

ValidationContext MergeValidation(const ValidationContext& base, const ValidationContext& dynamic) {
  ValidationContext out = base;
  const auto take = [](const DataSource& from, DataSource* to) {
    if (from.set) *to = from;
  };
  const auto append = [](const auto& from, auto* to) {
    to->insert(to->end(), from.begin(), from.end());
  };
  take(dynamic.trusted_ca, &out.trusted_ca);
  take(dynamic.crl, &out.crl);
  append(dynamic.san_matchers, &out.san_matchers);
  append(dynamic.certificate_hashes, &out.certificate_hashes);
  append(dynamic.spki_hashes, &out.spki_hashes);
  append(dynamic.trust_domains, &out.trust_domains);
  out.system_roots |= dynamic.system_roots;
  out.only_verify_leaf_crl |= dynamic.only_verify_leaf_crl;
  out.allow_expired |= dynamic.allow_expired;
  out.accept_untrusted |= dynamic.accept_untrusted;
  if (dynamic.max_verify_depth.has_value()) {
    out.max_verify_depth = dynamic.max_verify_depth;
  }
  if (!dynamic.watched_directory.empty()) {
    out.watched_directory = dynamic.watched_directory;
  }
  return out;
}

std::vector<std::string> TlsCertificate::Files() const {
  std::vector<std::string> files;
  for (const DataSource* source :
       {&certificate_chain, &private_key, &pkcs12, &password, &ocsp_staple}) {
    AddFile(*source, &files);
  }
  return files;
}

std::vector<std::string> ValidationContext::Files() const {
  std::vector<std::string> files;
  AddFile(trusted_ca, &files);
  AddFile(crl, &files);
  for (const TrustDomain& domain : trust_domains) {
    AddFile(domain.bundle, &files);
  }
  return files;
}

absl::StatusOr<std::shared_ptr<const Secret>> Secret::Parse(const tls::Secret& proto,
                                                            ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<Secret>();
  out->name = proto.name();
  out->original = SerializeDeterministically(proto);
  switch (proto.type_case()) {
    case tls::Secret::kTlsCertificate: {
      ParseContext::Scope scope(context, "tls_certificate");
      TlsCertificate certificate = ParseTlsCertificate(proto.tls_certificate(), context);
      if (context.error_count() == before) {
        context.Error(CheckCertificate(certificate));
      }
      out->value = std::move(certificate);
      break;
    }
    case tls::Secret::kValidationContext: {
      ParseContext::Scope scope(context, "validation_context");
      out->value = ParseValidationContext(proto.validation_context(), context);
      break;
    }
    case tls::Secret::kSessionTicketKeys: {
      ParseContext::Scope scope(context, "session_ticket_keys");
      out->value = ParseSessionTicketKeys(proto.session_ticket_keys(), context);
      break;
    }
    case tls::Secret::kGenericSecret: {
      ParseContext::Scope scope(context, "generic_secret");
      out->value = GenericSecret{Sub("secret", proto.generic_secret().secret(), context)};
      if (proto.generic_secret().secrets_size() != 0) {
        context.NotHonoured("secrets");
      }
      break;
    }
    case tls::Secret::TYPE_NOT_SET:
      context.Error("a secret holds nothing");
      break;
  }
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<std::shared_ptr<const Secret>> Secret::Reload() const {
  tls::Secret proto;
  if (!proto.ParseFromString(original)) {
    return absl::InternalError("a secret does not parse any more");
  }
  ParseContext context(ParseContext::Origin::kDynamic);
  return Parse(proto, context);
}

std::vector<std::string> Secret::Files() const {
  return std::visit(
      [](const auto& held) -> std::vector<std::string> {
        using T = std::decay_t<decltype(held)>;
        std::vector<std::string> files;
        if constexpr (std::is_same_v<T, SessionTicketKeys>) {
          for (const DataSource& key : held.keys) AddFile(key, &files);
        } else if constexpr (std::is_same_v<T, GenericSecret>) {
          AddFile(held.secret, &files);
        } else {
          files = held.Files();
        }
        return files;
      },
      value);
}

}  // namespace remora::xds
