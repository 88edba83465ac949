#include "proxy/stream/request_path.h"

#include <string>

#include "gtest/gtest.h"

namespace remora::proxy {
namespace {

using Config = xds::HttpConnectionManager;

struct Outcome {
  PathVerdict verdict;
  std::string path;
};

Outcome Normalize(const Config& config, absl::string_view path) {
  Arena arena;
  Headers request(&arena);
  request.set_pseudo(HeaderId::kPath, path);
  const PathVerdict verdict = NormalizePath(config, request);
  return {verdict, std::string(request.path())};
}

std::string Host(const Config& config, absl::string_view host, bool connect = false) {
  Arena arena;
  Headers request(&arena);
  request.set_pseudo(HeaderId::kAuthority, host);
  NormalizeHost(config, 8080, connect, request);
  return std::string(request.authority());
}

TEST(RequestPathTest, NothingIsTouchedByDefault) {
  EXPECT_EQ(Normalize(Config(), "/a/../%2e//b?x=/../").path, "/a/../%2e//b?x=/../");
}

TEST(RequestPathTest, FragmentsAreRefused) {
  EXPECT_EQ(Normalize(Config(), "/a#b").verdict, PathVerdict::kReject);
}

TEST(RequestPathTest, DotSegmentsGo) {
  Config config;
  config.normalize_path = true;
  EXPECT_EQ(Normalize(config, "/a/./b/../c?q=/../x").path, "/a/c?q=/../x");
  EXPECT_EQ(Normalize(config, "/pub/../admin").path, "/admin");
  EXPECT_EQ(Normalize(config, "/../../x").path, "/x");
  EXPECT_EQ(Normalize(config, "/a/..").path, "/");
  EXPECT_EQ(Normalize(config, "/a/b/.").path, "/a/b/");
  EXPECT_EQ(Normalize(config, "/pub/%2e%2e/admin").path, "/admin");
  EXPECT_EQ(Normalize(config, "/a\\b").path, "/a/b");
  EXPECT_EQ(Normalize(config, "/%41%2f%2F%7e").path, "/A%2f%2F~");
}

TEST(RequestPathTest, MalformedEscapesStayAndNulIsRefused) {
  Config config;
  config.normalize_path = true;
  EXPECT_EQ(Normalize(config, "/x/../%zz").path, "/%zz");
  EXPECT_EQ(Normalize(config, "/a%").path, "/a%");
  EXPECT_EQ(Normalize(config, "/a%00b").verdict, PathVerdict::kReject);
}

TEST(RequestPathTest, SlashesAreMerged) {
  Config config;
  config.merge_slashes = true;
  EXPECT_EQ(Normalize(config, "//a///b//?x=//").path, "/a/b/?x=//");
}

TEST(RequestPathTest, EscapedSlashesByAction) {
  Config config;
  config.escaped_slashes = Config::EscapedSlashes::kReject;
  EXPECT_EQ(Normalize(config, "/a%2Fb").verdict, PathVerdict::kReject);
  EXPECT_EQ(Normalize(config, "/a%5cb").verdict, PathVerdict::kReject);
  EXPECT_EQ(Normalize(config, "/a?b=%2F").verdict, PathVerdict::kContinue);
  config.escaped_slashes = Config::EscapedSlashes::kUnescapeAndForward;
  EXPECT_EQ(Normalize(config, "/a%2fb").path, "/a/b");
  config.normalize_path = true;
  EXPECT_EQ(Normalize(config, "/pub%2f..%5cadmin").path, "/admin");
  config.escaped_slashes = Config::EscapedSlashes::kUnescapeAndRedirect;
  const Outcome outcome = Normalize(config, "/a%2f../b?q");
  EXPECT_EQ(outcome.verdict, PathVerdict::kRedirect);
  EXPECT_EQ(outcome.path, "/b?q");
}

TEST(RequestPathTest, PortsAreStripped) {
  Config config;
  config.strip_port = Config::StripPort::kMatching;
  EXPECT_EQ(Host(config, "a:8080"), "a");
  EXPECT_EQ(Host(config, "a:80"), "a:80");
  EXPECT_EQ(Host(config, "[::1]:8080"), "[::1]");
  EXPECT_EQ(Host(config, "a:8080", /*connect=*/true), "a:8080");
  config.strip_port = Config::StripPort::kAny;
  EXPECT_EQ(Host(config, "a:80"), "a");
  EXPECT_EQ(Host(config, "[::1]"), "[::1]");
}

TEST(RequestPathTest, ATrailingDotGoesAlsoBeforeAPort) {
  Config config;
  config.strip_trailing_host_dot = true;
  EXPECT_EQ(Host(config, "a.b."), "a.b");
  EXPECT_EQ(Host(config, "a.b.:80"), "a.b:80");
  EXPECT_EQ(Host(config, "a.b"), "a.b");
}

TEST(RequestPathTest, Authorities) {
  EXPECT_TRUE(IsValidAuthority("a.b:80"));
  EXPECT_TRUE(IsValidAuthority("[::1]:80"));
  EXPECT_FALSE(IsValidAuthority("u@a"));
  EXPECT_FALSE(IsValidAuthority("a b"));
  EXPECT_FALSE(IsValidAuthority("a/b"));
}

}  // namespace
}  // namespace remora::proxy
