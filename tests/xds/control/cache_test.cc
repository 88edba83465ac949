#include "xds/control/cache.h"

#include <gtest/gtest.h>

#include "tests/support/control/temp_dir.h"
#include "xds/control/services_yaml.h"
#include "xds/control/state_dir.h"

namespace remora::control {
namespace {

Services Parse(const std::string& yaml) {
  auto parsed = ParseServices({{"s.yaml", yaml}});
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return std::move(parsed->services);
}

constexpr char kTwo[] =
    "services:\n"
    "  a: {sidecar: 127.0.0.1:1}\n"
    "  b: {sidecar: 127.0.0.1:2}\n";

class CacheTest : public testing::Test {
 protected:
  std::string SecretOf(const std::shared_ptr<const NodeResources>& resources) {
    auto found = resources->Of(Type::kSecret).find("identity");
    return found == resources->Of(Type::kSecret).end() ? "" : found->second->version;
  }

  TempDir dir_;
  std::unique_ptr<CertificateAuthority> ca_ =
      *CertificateAuthority::Open(*StateDir::Open(dir_.path()), "");
  absl::Time now_ = absl::Now();
  Cache cache_{ca_.get(), absl::Hours(1)};
};

TEST_F(CacheTest, CertificatesAreRenewedAtHalfTheirLife) {
  cache_.SetServices(Parse(kTwo), now_);
  auto before = cache_.Get({"a", ""}, now_);
  EXPECT_EQ(cache_.NextTick(), now_ + absl::Minutes(30));
  EXPECT_FALSE(cache_.Tick(now_ + absl::Minutes(29)));
  EXPECT_EQ(SecretOf(cache_.Get({"a", ""}, now_)), SecretOf(before));
  EXPECT_TRUE(cache_.Tick(now_ + absl::Minutes(30)));
  auto after = cache_.Get({"a", ""}, now_ + absl::Minutes(30));
  EXPECT_NE(SecretOf(after), SecretOf(before));
  EXPECT_EQ(cache_.NextTick(), now_ + absl::Hours(1));
  // And nothing else of the node is touched.
  EXPECT_EQ(after->Of(Type::kListener).at("inbound")->version,
            before->Of(Type::kListener).at("inbound")->version);
}

TEST_F(CacheTest, NodesOfOneServiceShareItsCertificate) {
  cache_.SetServices(Parse(kTwo), now_);
  auto one = cache_.Get({"a", "1"}, now_);
  auto two = cache_.Get({"a", "2"}, now_);
  EXPECT_EQ(SecretOf(one), SecretOf(two));
  EXPECT_NE(SecretOf(one), SecretOf(cache_.Get({"b", ""}, now_)));
}

TEST_F(CacheTest, AServiceThatIsGoneHasNoIdentityAnyMore) {
  cache_.SetServices(Parse(kTwo), now_);
  auto held = cache_.Get({"a", ""}, now_);
  EXPECT_NE(SecretOf(held), "");
  cache_.SetServices(Parse("services:\n  b: {sidecar: 127.0.0.1:2}\n"), now_);
  EXPECT_EQ(SecretOf(cache_.Get({"a", ""}, now_)), "");
}

TEST_F(CacheTest, NodesThatNobodyHoldsAreNotRenewed) {
  cache_.SetServices(Parse(kTwo), now_);
  cache_.Get({"a", ""}, now_);
  EXPECT_FALSE(cache_.Tick(now_ + absl::Hours(1)));
  EXPECT_EQ(cache_.NextTick(), absl::InfiniteFuture());
}

TEST_F(CacheTest, ALateTickNeverLeavesAnExpiredCertificate) {
  cache_.SetServices(Parse(kTwo), now_);
  const std::string before = SecretOf(cache_.Get({"a", ""}, now_));
  cache_.SetServices(Parse(kTwo), now_ + absl::Hours(2));
  EXPECT_NE(SecretOf(cache_.Get({"a", ""}, now_ + absl::Hours(2))), before);
}

}  // namespace
}  // namespace remora::control
