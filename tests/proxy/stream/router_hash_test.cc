#include "proxy/stream/router_hash.h"

#include <gtest/gtest.h>

#include "filters/api/arena.h"
#include "lb/hash_key.h"

namespace remora::proxy {
namespace {

using Kind = xds::HashPolicy::Kind;

class RouterHashTest : public ::testing::Test {
 protected:
  RouterHashTest() {
    request_.set_pseudo(HeaderId::kPath, "/p?a=1&k=v");
    request_.Add(HeaderId::kCookie, "x=1; sid=\"abc\"");
    request_.Add("x-user", "joe");
    info_.remote = *Address::FromIp("10.1.2.3", 4444);
  }
  std::optional<uint64_t> Hash(std::vector<xds::HashPolicy> policies) {
    return HashOfRequest(policies, request_, info_, &cookies_);
  }
  static xds::HashPolicy Policy(Kind kind, std::string name) {
    xds::HashPolicy policy;
    policy.kind = kind;
    policy.name = std::move(name);
    return policy;
  }

  Arena arena_;
  Headers request_{&arena_};
  StreamInfo info_;
  CookiesToSet cookies_;
};

TEST_F(RouterHashTest, OnePolicyHashesItsValue) {
  EXPECT_EQ(Hash({Policy(Kind::kHeader, "x-user")}), lb::XxHash64("joe"));
  EXPECT_EQ(Hash({Policy(Kind::kCookie, "sid")}), lb::XxHash64("abc"));
  EXPECT_EQ(Hash({Policy(Kind::kSourceIp, "")}), lb::XxHash64("10.1.2.3"));
  EXPECT_EQ(Hash({Policy(Kind::kQueryParameter, "k")}), lb::XxHash64("v"));
}

TEST_F(RouterHashTest, NothingFoundIsNoHash) {
  EXPECT_FALSE(Hash({Policy(Kind::kHeader, "x-none")}).has_value());
  EXPECT_FALSE(Hash({Policy(Kind::kCookie, "none")}).has_value());
  EXPECT_EQ(cookies_.count, 0u);
}

TEST_F(RouterHashTest, TerminalStopsAtTheFirstValue) {
  xds::HashPolicy first = Policy(Kind::kHeader, "x-user");
  const xds::HashPolicy second = Policy(Kind::kQueryParameter, "k");
  const auto both = Hash({first, second});
  first.terminal = true;
  EXPECT_EQ(Hash({first, second}), lb::XxHash64("joe"));
  EXPECT_NE(both, lb::XxHash64("joe"));
}

TEST_F(RouterHashTest, MissingCookieWithLifetimeIsMade) {
  xds::HashPolicy policy = Policy(Kind::kCookie, "route");
  policy.ttl = absl::Seconds(60);
  policy.path = "/p";
  const auto hash = Hash({policy});
  ASSERT_TRUE(hash.has_value());
  ASSERT_EQ(cookies_.count, 1u);
  const std::string text(cookies_.values[0]);
  EXPECT_EQ(text.substr(0, 7), "route=\"");
  EXPECT_EQ(text.substr(text.find(';')), "; Max-Age=60; Path=/p; HttpOnly");
  // The next request brings it along and is hashed alike.
  request_.Add(HeaderId::kCookie, text.substr(0, text.find(';')));
  EXPECT_EQ(Hash({policy}), hash);
}

}  // namespace
}  // namespace remora::proxy
