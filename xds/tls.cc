#include "xds/tls.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/address.h"
#include "xds/durations.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;

TlsVersion VersionFrom(tls::TlsParameters::TlsProtocol version) {
  switch (version) {
    case tls::TlsParameters::TLSv1_0:
      return TlsVersion::k10;
    case tls::TlsParameters::TLSv1_1:
      return TlsVersion::k11;
    case tls::TlsParameters::TLSv1_2:
      return TlsVersion::k12;
    case tls::TlsParameters::TLSv1_3:
      return TlsVersion::k13;
    default:
      return TlsVersion::kAuto;
  }
}

void ParseParameters(const tls::TlsParameters& proto, CommonTls* out, ParseContext& context) {
  ParseContext::Scope scope(context, "tls_params");
  out->min_version = VersionFrom(proto.tls_minimum_protocol_version());
  out->max_version = VersionFrom(proto.tls_maximum_protocol_version());
  if (out->max_version != TlsVersion::kAuto && out->min_version > out->max_version) {
    context.Warn("the minimum version is above the maximum: no handshake will succeed");
  }
  out->cipher_suites.assign(proto.cipher_suites().begin(), proto.cipher_suites().end());
  out->ecdh_curves.assign(proto.ecdh_curves().begin(), proto.ecdh_curves().end());
  out->signature_algorithms.assign(proto.signature_algorithms().begin(),
                                   proto.signature_algorithms().end());
  CheckTlsParameters(*out, context);
  for (const auto policy : proto.compliance_policies()) {
    if (policy == tls::TlsParameters::FIPS_202205) {
      out->fips_policy = true;
    } else {
      context.ErrorAt("compliance_policies", absl::StrCat("policy ", policy, " is not supported"));
    }
  }
}

void ParseCertificates(const tls::CommonTlsContext& proto, CommonTls* out, ParseContext& context) {
  for (int i = 0; i < proto.tls_certificates_size(); ++i) {
    ParseContext::Scope scope(context, "tls_certificates", i);
    const size_t before = context.error_count();
    TlsCertificate certificate = ParseTlsCertificate(proto.tls_certificates(i), context);
    if (context.error_count() == before) {
      context.Error(CheckCertificate(certificate));
    }
    out->certificates.push_back(std::move(certificate));
  }
  for (int i = 0; i < proto.tls_certificate_sds_secret_configs_size(); ++i) {
    ParseContext::Scope scope(context, "tls_certificate_sds_secret_configs", i);
    out->certificate_refs.push_back(
        ParseSecretRef(proto.tls_certificate_sds_secret_configs(i), context));
  }
  if (!out->certificates.empty() && !out->certificate_refs.empty()) {
    context.Error("SDS and non-SDS TLS certificates may not be mixed");
  }
}

void ParseValidation(const tls::CommonTlsContext& proto, CommonTls* out, ParseContext& context) {
  using Proto = tls::CommonTlsContext;
  switch (proto.validation_context_type_case()) {
    case Proto::kValidationContext: {
      ParseContext::Scope scope(context, "validation_context");
      const size_t before = context.error_count();
      out->validation = ParseValidationContext(proto.validation_context(), context);
      if (context.error_count() == before) {
        context.Error(CheckValidation(*out->validation));
      }
      break;
    }
    case Proto::kValidationContextSdsSecretConfig: {
      ParseContext::Scope scope(context, "validation_context_sds_secret_config");
      out->validation_ref = ParseSecretRef(proto.validation_context_sds_secret_config(), context);
      break;
    }
    case Proto::kCombinedValidationContext: {
      ParseContext::Scope scope(context, "combined_validation_context");
      const auto& combined = proto.combined_validation_context();
      {
        ParseContext::Scope inner(context, "default_validation_context");
        out->validation = ParseValidationContext(combined.default_validation_context(), context);
      }
      ParseContext::Scope inner(context, "validation_context_sds_secret_config");
      out->validation_ref =
          ParseSecretRef(combined.validation_context_sds_secret_config(), context);
      break;
    }
    case Proto::VALIDATION_CONTEXT_TYPE_NOT_SET:
      break;
    default:
      context.Error("certificate provider instances are not supported");
  }
}

CommonTls ParseCommon(const tls::CommonTlsContext& proto, ParseContext& context) {
  ParseContext::Scope scope(context, "common_tls_context");
  CommonTls out;
  ParseParameters(proto.tls_params(), &out, context);
  ParseCertificates(proto, &out, context);
  ParseValidation(proto, &out, context);
  // One text may hold several, with commas.
  const std::string protocols = absl::StrJoin(proto.alpn_protocols(), ",");
  for (const absl::string_view protocol : absl::StrSplit(protocols, ',')) {
    if (protocols.empty()) break;
    if (protocol.empty() || protocol.size() > 255) {
      context.ErrorAt("alpn_protocols", "Invalid ALPN protocol string");
    }
    out.alpn.emplace_back(protocol);
  }
  if (proto.has_key_log()) {
    ParseContext::Scope inner(context, "key_log");
    out.key_log.path = proto.key_log().path();
    // A log of some peers only must not become one of all.
    if (proto.key_log().local_address_range_size() + proto.key_log().remote_address_range_size() !=
        0) {
      context.NotHonoured("local_address_range and remote_address_range: no keys are written");
      out.key_log.path.clear();
    }
    out.key_log.local_ranges =
        ParseCidrRanges("local_address_range", proto.key_log().local_address_range(), context);
    out.key_log.remote_ranges =
        ParseCidrRanges("remote_address_range", proto.key_log().remote_address_range(), context);
  }
  if (proto.has_custom_handshaker()) {
    context.ErrorAt("custom_handshaker", "is not supported");
  }
  if (proto.has_custom_tls_certificate_selector()) {
    context.ErrorAt("custom_tls_certificate_selector", "is not supported");
  }
  if (proto.has_tls_certificate_provider_instance()) {
    context.ErrorAt("tls_certificate_provider_instance", "is not supported");
  }
  return out;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DownstreamTls>> DownstreamTls::Parse(
    const tls::DownstreamTlsContext& proto, ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<DownstreamTls>();
  out->key = SerializeDeterministically(proto);
  out->common = ParseCommon(proto.common_tls_context(), context);
  out->require_client_certificate = proto.require_client_certificate().value();
  if (proto.has_session_ticket_keys()) {
    ParseContext::Scope scope(context, "session_ticket_keys");
    out->ticket_keys = ParseSessionTicketKeys(proto.session_ticket_keys(), context);
  }
  if (proto.has_session_ticket_keys_sds_secret_config()) {
    ParseContext::Scope scope(context, "session_ticket_keys_sds_secret_config");
    out->ticket_keys_ref = ParseSecretRef(proto.session_ticket_keys_sds_secret_config(), context);
  }
  out->disable_stateless_resumption = proto.disable_stateless_session_resumption();
  out->disable_stateful_resumption = proto.disable_stateful_session_resumption();
  if (proto.has_session_timeout()) {
    out->session_timeout = FromProto(proto.session_timeout());
  }
  out->ocsp_policy = static_cast<OcspPolicy>(proto.ocsp_staple_policy());
  out->full_scan_certs_on_sni_mismatch = proto.full_scan_certs_on_sni_mismatch().value();
  out->prefer_client_ciphers = proto.prefer_client_ciphers();
  if (out->common.certificates.empty() && out->common.certificate_refs.empty() &&
      context.error_count() == before) {
    context.ErrorAt("common_tls_context", "No TLS certificates found for server context");
  }
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<std::shared_ptr<const UpstreamTls>> UpstreamTls::Parse(
    const tls::UpstreamTlsContext& proto, ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<UpstreamTls>();
  out->key = SerializeDeterministically(proto);
  out->common = ParseCommon(proto.common_tls_context(), context);
  out->sni = proto.sni();
  if (absl::StrContains(out->sni, absl::string_view("\0", 1))) {
    context.ErrorAt("sni", "SNI names containing NULL-byte are not allowed");
  }
  out->auto_host_sni = proto.auto_host_sni();
  out->auto_sni_san_validation = proto.auto_sni_san_validation();
  if (out->auto_sni_san_validation && !out->common.validation.has_value() &&
      !out->common.validation_ref.has_value()) {
    context.ErrorAt("auto_sni_san_validation",
                    "'auto_sni_san_validation' was configured without "
                    "configuring a validation context");
  }
  out->allow_renegotiation = proto.allow_renegotiation();
  if (proto.has_max_session_keys()) {
    out->max_session_keys = proto.max_session_keys().value();
  }
  if (proto.has_enforce_rsa_key_usage()) {
    out->enforce_rsa_key_usage = proto.enforce_rsa_key_usage().value();
  }
  if (out->common.certificates.size() + out->common.certificate_refs.size() > 1) {
    context.ErrorAt("common_tls_context",
                    "Multiple TLS certificates are not supported for client contexts");
  }
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

}  // namespace remora::xds
