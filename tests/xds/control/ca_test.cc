#include "xds/control/ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "tests/support/control/temp_dir.h"
#include "xds/control/state_dir.h"

namespace remora::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct X509Free {
  void operator()(X509* p) const { X509_free(p); }
};
using X509Ptr = std::unique_ptr<X509, X509Free>;

X509Ptr Parse(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509Ptr out(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr));
  BIO_free(bio);
  return out;
}

// What OpenSSL thinks of `leaf` as a peer's certificate of this purpose.
int Verify(const std::string& root, const std::string& leaf, int purpose) {
  X509Ptr root_certificate = Parse(root);
  X509Ptr leaf_certificate = Parse(leaf);
  X509_STORE* store = X509_STORE_new();
  X509_STORE_add_cert(store, root_certificate.get());
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, leaf_certificate.get(), nullptr);
  X509_STORE_CTX_set_purpose(context, purpose);
  X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
  X509_verify_cert(context);
  const int error = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return error;
}

std::vector<std::string> Uris(X509* certificate) {
  std::vector<std::string> out;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    out.emplace_back(
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier)));
  }
  GENERAL_NAMES_free(names);
  return out;
}

std::unique_ptr<CertificateAuthority> Open(const std::string& path, const std::string& td = "") {
  auto ca = CertificateAuthority::Open(*StateDir::Open(path), td);
  EXPECT_TRUE(ca.ok()) << ca.status();
  return *std::move(ca);
}

TEST(CertificateAuthority, IssuesSpiffeCertificatesThatVerify) {
  TempDir dir;
  auto ca = Open(dir.path(), "example.org");
  const absl::Time now = absl::Now();
  absl::StatusOr<Certificate> web = ca->Issue(ca->ServiceId("web"), "web", now, absl::Hours(1));
  ASSERT_TRUE(web.ok()) << web.status();
  EXPECT_EQ(Verify(ca->bundle(), web->chain, X509_PURPOSE_SSL_SERVER), X509_V_OK);
  EXPECT_EQ(Verify(ca->bundle(), web->chain, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
  X509Ptr leaf = Parse(web->chain);
  EXPECT_THAT(Uris(leaf.get()), ElementsAre("spiffe://example.org/service/web"));
  EXPECT_EQ(X509_get_key_usage(leaf.get()), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(X509_get_extended_key_usage(leaf.get()),
            static_cast<uint32_t>(XKU_SSL_SERVER | XKU_SSL_CLIENT));
  EXPECT_EQ(X509_check_ca(leaf.get()), 0);
  EXPECT_EQ(web->not_after, now + absl::Hours(1));
  EXPECT_LT(web->not_before, now);
}

TEST(CertificateAuthority, EveryCertificateHasItsOwnKeyAndSerial) {
  TempDir dir;
  auto ca = Open(dir.path());
  auto one = ca->Issue(ca->ServiceId("a"), "a", absl::Now(), absl::Hours(1));
  auto two = ca->Issue(ca->ServiceId("a"), "a", absl::Now(), absl::Hours(1));
  EXPECT_NE(one->private_key, two->private_key);
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(Parse(one->chain).get()),
                             X509_get0_serialNumber(Parse(two->chain).get())),
            0);
}

TEST(CertificateAuthority, ExpiredCertificatesDoNotVerify) {
  TempDir dir;
  auto ca = Open(dir.path());
  auto old = ca->Issue(ca->ServiceId("a"), "a", absl::Now() - absl::Hours(2), absl::Hours(1));
  EXPECT_EQ(Verify(ca->bundle(), old->chain, X509_PURPOSE_SSL_CLIENT), X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST(CertificateAuthority, KeepsItsRootOnDiskForItsOwnerAlone) {
  TempDir dir;
  const std::string state = dir / "state";
  const std::string bundle = Open(state, "example.org")->bundle();
  auto again = Open(state);
  EXPECT_EQ(again->bundle(), bundle);
  EXPECT_EQ(again->trust_domain(), "example.org");
  struct stat info;
  ASSERT_EQ(stat((state + "/ca.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(state.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(CertificateAuthority, RefusesAnotherTrustDomainsRoot) {
  TempDir dir;
  Open(dir.path(), "example.org");
  auto other = CertificateAuthority::Open(*StateDir::Open(dir.path()), "other.org");
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("example.org"));
}

TEST(CertificateAuthority, RefusesADamagedRoot) {
  TempDir dir;
  Open(dir.path());
  dir.Write("ca.key", "no key");
  EXPECT_FALSE(CertificateAuthority::Open(*StateDir::Open(dir.path()), "").ok());
}

TEST(CertificateAuthority, NoServiceCanPassForTheControlPlane) {
  TempDir dir;
  auto ca = Open(dir.path());
  EXPECT_THAT(ca->ServiceId("control"), testing::Not(ca->ControlId()));
}

}  // namespace
}  // namespace remora::control
