#include "filters/match_tree.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/matching/common_inputs/network/v3/network_inputs.pb.h"
#include "envoy/extensions/matching/common_inputs/ssl/v3/ssl_inputs.pb.h"
#include "filters/rbac.h"
#include "xds/core/v3/extension.pb.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace remora {
namespace {

using MatcherProto = ::xds::type::matcher::v3::Matcher;

constexpr char kInputs[] = "type.googleapis.com/envoy.extensions.matching.common_inputs.";

std::string Any(const std::string& type, const std::string& fields = "") {
  return absl::StrCat("typed_config { [", type, "] { ", fields, " } }");
}

std::string Header(const std::string& name) {
  return Any("type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
             absl::StrCat("header_name: '", name, "'"));
}

// Leads to the action of that name.
std::string Action(const std::string& name) {
  return absl::StrCat("action { name: '", name, "' }");
}

std::string Single(const std::string& input, const std::string& value) {
  return absl::StrCat("single_predicate { input { ", input, " } value_match { ", value, " } }");
}

class MatchTreeTest : public ::testing::Test {
 protected:
  MatchTreeTest() {
    // So that the linker keeps them: text names them alone.
    using namespace envoy::extensions::matching::common_inputs;  // NOLINT
    network::v3::SourceIPInput::descriptor();
    ssl::v3::SubjectInput::descriptor();
    request_.set_pseudo(HeaderId::kPath, "/a?x=1&y&x=2");
    info_.downstream = &connection_;
    connection_.local = *Address::FromIpPort("10.0.0.1:8080");
    connection_.remote = connection_.direct_remote = *Address::FromIpPort("192.0.2.9:7");
    connection_.requested_server_name = "a.test";
    info_.remote = *Address::FromIpPort("203.0.113.5:0");
  }

  absl::StatusOr<MatchTree> Parse(const std::string& text) {
    MatcherProto proto;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
    names_.clear();
    return MatchTree::Parse(
        proto, [&](const ::xds::core::v3::TypedExtensionConfig& action) -> absl::StatusOr<size_t> {
          if (action.name() == "bad") return absl::InvalidArgumentError("bad action");
          names_.push_back(action.name());
          return names_.size() - 1;
        });
  }

  // The name of the action that is found, "" when none is.
  std::string Found(const std::string& text) {
    const auto tree = Parse(text);
    EXPECT_TRUE(tree.ok()) << tree.status();
    if (!tree.ok()) return "?";
    const std::optional<size_t> found = tree->Match({info_, &request_});
    return found.has_value() ? names_[*found] : "";
  }

  std::string List(const std::string& predicate) {
    return Found(absl::StrCat("matcher_list { matchers { predicate { ", predicate, " } on_match { ",
                              Action("yes"), " } } }"));
  }

  Arena arena_;
  Headers request_{&arena_};
  ConnectionInfo connection_;
  StreamInfo info_;
  std::vector<std::string> names_;
};

TEST_F(MatchTreeTest, TheFirstPredicateThatHoldsLeads) {
  request_.Add("a", "one");
  EXPECT_EQ(Found(absl::StrCat("matcher_list { matchers { predicate { ",
                               Single(Header("A"), "exact: 'two'"), " } on_match { ", Action("x"),
                               " } } matchers { predicate { ", Single(Header("A"), "prefix: 'o'"),
                               " } on_match { ", Action("y"), " } } matchers { predicate { ",
                               Single(Header("A"), "suffix: 'e'"), " } on_match { ", Action("z"),
                               " } } } on_no_match { ", Action("none"), " }")),
            "y");
}

TEST_F(MatchTreeTest, WhatIsAbsentMatchesNoValue) {
  EXPECT_EQ(List(Single(Header("a"), "prefix: ''")), "");
  EXPECT_EQ(List(absl::StrCat("not_matcher { ", Single(Header("a"), "prefix: ''"), " }")), "yes");
  request_.Add("a", "");
  EXPECT_EQ(List(Single(Header("a"), "exact: ''")), "yes");
}

TEST_F(MatchTreeTest, RepeatedHeadersAreJoined) {
  request_.Add("a", "1");
  request_.Add("a", "2");
  EXPECT_EQ(List(Single(Header("a"), "exact: '1,2'")), "yes");
}

TEST_F(MatchTreeTest, PredicatesAreCombined) {
  request_.Add("a", "Q1");
  const std::string yes = Single(Header("a"), "exact: 'q1' ignore_case: true");
  const std::string no = Single(Header("a"), "contains: 'z'");
  const std::string both = absl::StrCat("predicate { ", yes, " } predicate { ", no, " }");
  EXPECT_EQ(List(absl::StrCat("or_matcher { ", both, " }")), "yes");
  EXPECT_EQ(List(absl::StrCat("and_matcher { ", both, " }")), "");
  EXPECT_EQ(List(Single(Header("a"), "safe_regex { regex: 'Q[0-9]' }")), "yes");
  EXPECT_EQ(List(Single(Header("a"), "safe_regex { regex: '[0-9]' }")), "") << "the whole value";
}

TEST_F(MatchTreeTest, InputsNameTheirParts) {
  const auto input = [&](const std::string& type, const std::string& value) {
    return List(Single(Any(absl::StrCat(kInputs, type)), absl::StrCat("exact: '", value, "'")));
  };
  EXPECT_EQ(input("network.v3.DestinationIPInput", "10.0.0.1"), "yes");
  EXPECT_EQ(input("network.v3.DestinationPortInput", "8080"), "yes");
  EXPECT_EQ(input("network.v3.SourceIPInput", "203.0.113.5"), "yes");
  EXPECT_EQ(input("network.v3.DirectSourceIPInput", "192.0.2.9"), "yes");
  EXPECT_EQ(input("network.v3.ServerNameInput", "a.test"), "yes");
  EXPECT_EQ(input("ssl.v3.UriSanInput", ""), "") << "without TLS";
  TlsFacts tls;
  tls.peer_uri_sans = {"spiffe://a", "spiffe://b"};
  tls.peer_subject = "CN=a";
  connection_.tls = &tls;
  EXPECT_EQ(input("ssl.v3.UriSanInput", "spiffe://a,spiffe://b"), "yes");
  EXPECT_EQ(input("ssl.v3.SubjectInput", "CN=a"), "yes");
  const auto query = [&](const std::string& name, const std::string& value) {
    return List(
        Single(Any("type.googleapis.com/envoy.type.matcher.v3.HttpRequestQueryParamMatchInput",
                   absl::StrCat("query_param: '", name, "'")),
               absl::StrCat("exact: '", value, "'")));
  };
  EXPECT_EQ(query("x", "1"), "yes") << "the first of the name";
  EXPECT_EQ(query("y", ""), "yes");
  EXPECT_EQ(query("z", ""), "");
}

TEST_F(MatchTreeTest, MapsFindTheWholeValueOrTheLongestPrefix) {
  const auto map = [&](const std::string& kind, const std::string& value) {
    request_.Set("a", value);
    const auto entry = [](const std::string& key, const std::string& to) {
      return absl::StrCat("map { key: '", key, "' value { ", to, " } }");
    };
    return Found(absl::StrCat("matcher_tree { input { ", Header("a"), " } ", kind, " { ",
                              entry("/", Action("root")), entry("/a", Action("a")),
                              entry("/a/b", "matcher {}"), " } } on_no_match { ", Action("none"),
                              " }"));
  };
  EXPECT_EQ(map("exact_match_map", "/a"), "a");
  EXPECT_EQ(map("exact_match_map", "/a/"), "none");
  EXPECT_EQ(map("prefix_match_map", "/abc"), "a");
  EXPECT_EQ(map("prefix_match_map", "/x"), "root");
  EXPECT_EQ(map("prefix_match_map", "x"), "none");
  EXPECT_EQ(map("prefix_match_map", "/a/b/c"), "a") << "what leads nowhere is passed over";
}

TEST_F(MatchTreeTest, RangesOfAddresses) {
  const auto tree = [&](const std::string& remote) {
    info_.remote = *Address::FromIp(remote, 1);
    const auto range = [](const std::string& prefix, int length, const std::string& to) {
      return absl::StrCat("range_matchers { ranges { address_prefix: '", prefix,
                          "' prefix_len { value: ", length, " } } on_match { ", Action(to), " } }");
    };
    return Found(absl::StrCat(
        "matcher_tree { input { ", Any(absl::StrCat(kInputs, "network.v3.SourceIPInput")),
        " } custom_match { ",
        Any("type.googleapis.com/xds.type.matcher.v3.IPMatcher",
            absl::StrCat(range("10.0.0.0", 8, "wide"), range("10.1.0.0", 16, "narrow"))),
        " } }"));
  };
  EXPECT_EQ(tree("10.1.2.3"), "narrow");
  EXPECT_EQ(tree("10.2.2.3"), "wide");
  EXPECT_EQ(tree("11.2.2.3"), "");
}

TEST_F(MatchTreeTest, ActionsThatKeepMatchingArePassedOver) {
  request_.Add("a", "x");
  const std::string predicate = Single(Header("a"), "exact: 'x'");
  EXPECT_EQ(Found(absl::StrCat("matcher_list { matchers { predicate { ", predicate,
                               " } on_match { keep_matching: true ", Action("first"),
                               " } } matchers { predicate { ", predicate, " } on_match { ",
                               Action("second"), " } } }")),
            "second");
}

TEST_F(MatchTreeTest, WhatIsUnknownIsRefusedByName) {
  const auto error = [&](const std::string& text) {
    return std::string(Parse(text).status().message());
  };
  EXPECT_EQ(error("on_no_match { action { name: 'bad' } }"), "bad action");
  const std::string other = Any("type.googleapis.com/envoy.config.rbac.v3.Action");
  EXPECT_NE(error(absl::StrCat("matcher_tree { input { ", other, " } exact_match_map {} }"))
                .find("envoy.config.rbac.v3.Action"),
            std::string::npos);
  std::string deep = "matcher_list {}";
  for (int i = 0; i < 100; ++i) deep = absl::StrCat("on_no_match { matcher { ", deep, " } }");
  EXPECT_FALSE(Parse(deep).ok());
}

TEST_F(MatchTreeTest, RbacDeniesWhatNoActionIsFoundFor) {
  const auto judge = [&](const std::string& text) {
    MatcherProto proto;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
    const auto engine = RbacEngine::ParseMatcher(proto);
    EXPECT_TRUE(engine.ok()) << engine.status();
    const RbacEngine::Verdict verdict = engine->Judge({info_, &request_});
    return absl::StrCat(verdict.allowed, " ", verdict.policy == nullptr ? "-" : *verdict.policy);
  };
  const auto action = [](const std::string& fields) {
    return absl::StrCat("on_no_match { action { name: 'act' ",
                        Any("type.googleapis.com/envoy.config.rbac.v3.Action", fields), " } }");
  };
  EXPECT_EQ(judge(""), "0 -");
  EXPECT_EQ(judge(action("name: 'a'")), "1 a");
  EXPECT_EQ(judge(action("name: 'd' action: DENY")), "0 d");
  EXPECT_EQ(judge(action("name: 'l' action: LOG")), "1 l");
}

}  // namespace
}  // namespace remora
