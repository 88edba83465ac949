#include "xds/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "tests/support/xds/certificates.h"
#include "tests/support/xds/parsing.h"
#include "xds/tls.h"

namespace remora::xds {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;
using testing::ElementsAre;
using testing::HasSubstr;

// A PEM text as a YAML string.
std::string Quoted(const std::string& pem) {
  return absl::StrCat("\"", absl::StrReplaceAll(pem, {{"\n", "\\n"}}), "\"");
}

std::string Certificate(const std::string& chain, const std::string& key) {
  return absl::StrCat("{certificate_chain: {inline_string: ", Quoted(chain),
                      "}, private_key: {inline_string: ", Quoted(key), "}}");
}

Parsed<Secret> Read(const std::string& yaml) { return ParseYaml<Secret, tls::Secret>(yaml); }

TEST(SecretParsing, ACertificateAndItsKey) {
  const auto secret =
      Read(absl::StrCat("{name: s, tls_certificate: ", Certificate(kCertificateOne, kKeyOne), "}"));
  ASSERT_NE(secret.value, nullptr) << secret.AllErrors();
  EXPECT_EQ(std::get<TlsCertificate>(secret->value).private_key.bytes, kKeyOne);
}

TEST(SecretParsing, ABadPairIsRefused) {
  EXPECT_THAT(
      Read(absl::StrCat("{name: s, tls_certificate: ", Certificate(kCertificateOne, kKeyTwo), "}"))
          .errors,
      ElementsAre(HasSubstr("does not belong to the certificate")));
  EXPECT_THAT(
      Read(absl::StrCat("{name: s, tls_certificate: ", Certificate("no", kKeyTwo), "}")).errors,
      ElementsAre(HasSubstr("Failed to load certificate chain from <inline>")));
  EXPECT_THAT(Read(absl::StrCat("{name: s, tls_certificate: {certificate_chain: {inline_string: ",
                                Quoted(kCertificateOne), "}}}"))
                  .errors,
              ElementsAre(HasSubstr("incomplete certificate")));
}

TEST(SecretParsing, FilesAreReadAndReadAgain) {
  char folder[] = "/tmp/remora-secret-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string chain = absl::StrCat(folder, "/c.pem");
  const std::string key = absl::StrCat(folder, "/k.pem");
  std::ofstream(chain) << kCertificateOne;
  std::ofstream(key) << kKeyOne;
  const auto secret =
      Read(absl::StrCat("{name: s, tls_certificate: {certificate_chain: {filename: ", chain,
                        "}, private_key: {filename: ", key, "}}}"));
  ASSERT_NE(secret.value, nullptr) << secret.AllErrors();
  EXPECT_THAT(secret->Files(), ElementsAre(chain, key));
  std::ofstream(chain) << kCertificateTwo;
  EXPECT_FALSE(secret->Reload().ok());  // the pair does not agree yet
  std::ofstream(key) << kKeyTwo;
  const auto reloaded = secret->Reload();
  ASSERT_TRUE(reloaded.ok()) << reloaded.status();
  EXPECT_EQ(std::get<TlsCertificate>((*reloaded)->value).private_key.bytes, kKeyTwo);
  unlink(chain.c_str());
  EXPECT_FALSE(secret->Reload().ok());
  unlink(key.c_str());
  rmdir(folder);
}

TEST(SecretParsing, ValidationContexts) {
  const auto secret = Read(absl::StrCat(
      "{name: s, validation_context: {trusted_ca: {inline_string: ", Quoted(kCertificateOne),
      "}, match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: 'spiffe://a'}}], "
      "match_subject_alt_names: [{exact: ignored}], verify_certificate_hash: ['",
      std::string(64, 'a'),
      "'], trust_chain_verification: ACCEPT_UNTRUSTED, max_verify_depth: 2}}"));
  ASSERT_NE(secret.value, nullptr) << secret.AllErrors();
  const auto& context = std::get<ValidationContext>(secret->value);
  ASSERT_EQ(context.san_matchers.size(), 1u);
  EXPECT_EQ(context.san_matchers[0].type, SanType::kUri);
  EXPECT_EQ(context.certificate_hashes[0], std::string(32, '\xaa'));
  EXPECT_TRUE(context.accept_untrusted);
  EXPECT_EQ(context.max_verify_depth, 2u);
  EXPECT_THAT(
      Read("{name: s, validation_context: {verify_certificate_hash: ['" + std::string(64, 'z') +
           "'], verify_certificate_spki: ['" + std::string(44, 'a') + "']}}")
          .AllErrors(),
      HasSubstr("Invalid hex-encoded SHA-256"));
}

TEST(SecretParsing, TheDynamicContextIsMergedOverTheDefault) {
  ValidationContext base;
  base.san_matchers.push_back({std::nullopt, StringMatcher(StringMatcher::Kind::kExact, "a"), ""});
  base.trusted_ca.bytes = "old";
  base.trusted_ca.set = true;
  ValidationContext dynamic;
  dynamic.trusted_ca.bytes = "new";
  dynamic.trusted_ca.set = true;
  dynamic.san_matchers.push_back(
      {std::nullopt, StringMatcher(StringMatcher::Kind::kExact, "b"), ""});
  const ValidationContext merged = MergeValidation(base, dynamic);
  EXPECT_EQ(merged.trusted_ca.bytes, "new");
  EXPECT_EQ(merged.san_matchers.size(), 2u);
}

TEST(SecretParsing, NamesWithoutACaAreRefused) {
  ValidationContext context;
  context.san_matchers.push_back({SanType::kUri, StringMatcher(), ""});
  EXPECT_THAT(CheckValidation(context).message(), HasSubstr("without trusted CA"));
}

TEST(SecretParsing, TicketKeysHaveTheirLength) {
  EXPECT_THAT(Read("{name: s, session_ticket_keys: {keys: [{inline_string: short}]}}").errors,
              ElementsAre(HasSubstr("Length 5, expected length 80")));
}

Parsed<DownstreamTls> Server(const std::string& common, const std::string& more = "") {
  return ParseYaml<DownstreamTls, tls::DownstreamTlsContext>(
      absl::StrCat("{common_tls_context: {", common, "}", more, "}"));
}

TEST(TlsParsing, AServerWithItsCertificatesFromSds) {
  const auto context = Server(
      "tls_certificate_sds_secret_configs: [{name: me, sds_config: {ads: {}}}], "
      "combined_validation_context: {default_validation_context: {match_typed_subject_alt_names: "
      "[{san_type: URI, matcher: {prefix: 'spiffe://td/'}}]}, "
      "validation_context_sds_secret_config: "
      "{name: ROOTCA, sds_config: {ads: {}}}}, alpn_protocols: [h2, http/1.1], tls_params: "
      "{tls_minimum_protocol_version: TLSv1_3}",
      ", require_client_certificate: true");
  ASSERT_NE(context.value, nullptr) << context.AllErrors();
  EXPECT_TRUE(context->require_client_certificate);
  EXPECT_TRUE(context->common.NeedsSecrets());
  EXPECT_EQ(context->common.certificate_refs[0].name, "me");
  EXPECT_EQ(context->common.validation_ref->name, "ROOTCA");
  EXPECT_EQ(context->common.validation->san_matchers.size(), 1u);
  EXPECT_EQ(context->common.min_version, TlsVersion::k13);
  EXPECT_THAT(context->common.alpn, ElementsAre("h2", "http/1.1"));
}

TEST(TlsParsing, WhatCannotBeIsRefused) {
  EXPECT_THAT(Server("").errors, ElementsAre(HasSubstr("No TLS certificates found")));
  EXPECT_THAT(Server(absl::StrCat("tls_certificates: [", Certificate(kCertificateOne, kKeyOne),
                                  "], tls_params: {tls_minimum_protocol_version: TLSv1_3, "
                                  "tls_maximum_protocol_version: TLSv1_2}, custom_handshaker: "
                                  "{name: x, typed_config: {}}"))
                  .errors,
              ElementsAre(HasSubstr("custom_handshaker")));
}

TEST(TlsParsing, WhatBoringSslDoesNotKnowIsRefused) {
  const std::string certificate =
      absl::StrCat("tls_certificates: [", Certificate(kCertificateOne, kKeyOne), "], ");
  EXPECT_THAT(Server(absl::StrCat(certificate,
                                  "tls_params: {cipher_suites: [ECDHE-RSA-AES128-GCM-SHA256, "
                                  "NOPE], ecdh_curves: [NOPE], signature_algorithms: [NOPE]}"))
                  .errors,
              ElementsAre(HasSubstr("tried individually: NOPE"), HasSubstr("ECDH curves NOPE"),
                          HasSubstr("signature algorithms NOPE")));
  EXPECT_NE(Server(absl::StrCat(certificate,
                                "tls_params: {cipher_suites: ['[ECDHE-ECDSA-AES128-GCM-SHA256|"
                                "ECDHE-ECDSA-CHACHA20-POLY1305]'], ecdh_curves: [X25519, P-256]}"))
                .value,
            nullptr);
}

TEST(TlsParsing, EqualContextsHaveEqualKeys) {
  const std::string one =
      absl::StrCat("tls_certificates: [", Certificate(kCertificateOne, kKeyOne), "]");
  EXPECT_EQ(Server(one)->key, Server(one)->key);
  EXPECT_NE(Server(one)->key, Server(one, ", require_client_certificate: true")->key);
}

}  // namespace
}  // namespace remora::xds
