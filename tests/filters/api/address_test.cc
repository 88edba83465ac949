#include "filters/api/address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace remora {
namespace {

TEST(Address, ReadsAndPrintsLiterals) {
  struct Case {
    const char* ip;
    const char* text;
  };
  for (const Case& c : {Case{"10.0.0.1", "10.0.0.1:80"}, Case{"::1", "[::1]:80"},
                        Case{"[::1]", "[::1]:80"}, Case{"::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80"}}) {
    const std::optional<Address> address = Address::FromIp(c.ip, 80);
    ASSERT_TRUE(address) << c.ip;
    EXPECT_EQ(address->ToString(), c.text);
    EXPECT_EQ(address->port(), 80);
    Arena arena;
    EXPECT_EQ(address->ToString(arena), c.text);
    EXPECT_EQ(address->IpString(arena), address->IpString());
    EXPECT_EQ(Address::FromIpPort(c.text), address);
    EXPECT_EQ(Address::FromSockaddr(address->sockaddr_ptr(), address->sockaddr_size()), *address);
  }
  EXPECT_EQ(Address::FromIp("::1", 1)->IpString(), "::1");
}

TEST(Address, RefusesWhatIsNoLiteral) {
  for (const char* ip :
       {"", "a", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", "[::1", ":::", "localhost"}) {
    EXPECT_FALSE(Address::FromIp(ip, 80)) << ip;
  }
  for (const char* text :
       {"", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "[::1]", "::1:80:x", ":80"}) {
    EXPECT_FALSE(Address::FromIpPort(text)) << text;
  }
}

TEST(Address, KindsAndPorts) {
  EXPECT_TRUE(Address::FromIp("127.3.2.1", 0)->is_loopback());
  EXPECT_TRUE(Address::FromIp("::1", 0)->is_loopback());
  EXPECT_FALSE(Address::FromIp("128.0.0.1", 0)->is_loopback());
  EXPECT_TRUE(Address::FromIp("0.0.0.0", 0)->is_any());
  EXPECT_TRUE(Address::FromIp("::", 0)->is_any());
  Address address = *Address::FromIp("1.2.3.4", 1);
  address.set_port(9);
  EXPECT_EQ(address.port(), 9);
  EXPECT_NE(address, *Address::FromIp("1.2.3.4", 1));
  EXPECT_EQ(address.ip_bytes(), absl::string_view("\x01\x02\x03\x04", 4));
  EXPECT_EQ(Address().ToString(), "");
  EXPECT_EQ(Address().kind(), Address::Kind::kNone);
}

TEST(Address, Pipes) {
  const std::optional<Address> path = Address::FromPipe("/run/x.sock");
  ASSERT_TRUE(path);
  EXPECT_EQ(path->ToString(), "/run/x.sock");
  EXPECT_EQ(path->port(), 0);
  const std::optional<Address> abstract = Address::FromPipe("@name");
  ASSERT_TRUE(abstract);
  EXPECT_EQ(abstract->ToString(), "@name");
  EXPECT_NE(*path, *abstract);
  EXPECT_FALSE(Address::FromPipe(std::string(sizeof(sockaddr_un::sun_path), 'x')));
}

TEST(CidrRange, Contains) {
  const auto in = [](const char* range, uint32_t length, const char* ip) {
    return CidrRange::Create(range, length)->Contains(*Address::FromIp(ip, 1));
  };
  EXPECT_TRUE(in("10.1.2.3", 8, "10.9.9.9"));
  EXPECT_FALSE(in("10.1.2.3", 8, "11.1.2.3"));
  EXPECT_TRUE(in("10.128.0.0", 9, "10.200.0.1"));
  EXPECT_FALSE(in("10.128.0.0", 9, "10.127.0.1"));
  EXPECT_TRUE(in("0.0.0.0", 0, "1.2.3.4"));
  EXPECT_FALSE(in("0.0.0.0", 0, "::1"));
  EXPECT_TRUE(in("1.2.3.4", 99, "1.2.3.4"));
  EXPECT_TRUE(in("2001:db8::", 33, "2001:db8:7fff::1"));
  EXPECT_FALSE(in("2001:db8::", 33, "2001:db8:8000::1"));
  EXPECT_FALSE(CidrRange::Create("nonsense", 8).ok());
}

}  // namespace
}  // namespace remora
