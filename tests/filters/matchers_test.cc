#include "filters/matchers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "filters/api/headers.h"

namespace remora {
namespace {

using testing::HasSubstr;
using Kind = StringMatcher::Kind;

TEST(StringMatcherTest, EveryKindInEitherCase) {
  EXPECT_TRUE(StringMatcher().Match("anything"));
  EXPECT_TRUE(StringMatcher(Kind::kExact, "aB").Match("aB"));
  EXPECT_FALSE(StringMatcher(Kind::kExact, "aB").Match("ab"));
  EXPECT_TRUE(StringMatcher(Kind::kExact, "aB", true).Match("Ab"));
  EXPECT_TRUE(StringMatcher(Kind::kPrefix, "ab").Match("abc"));
  EXPECT_TRUE(StringMatcher(Kind::kPrefix, "AB", true).Match("abc"));
  EXPECT_TRUE(StringMatcher(Kind::kSuffix, "bc").Match("abc"));
  EXPECT_FALSE(StringMatcher(Kind::kSuffix, "abcd").Match("abc"));
  EXPECT_TRUE(StringMatcher(Kind::kContains, "b").Match("abc"));
  EXPECT_TRUE(StringMatcher(Kind::kContains, "BC", true).Match("abcd"));
  EXPECT_FALSE(StringMatcher(Kind::kContains, "BC").Match("abcd"));
}

TEST(StringMatcherTest, RegexesMatchTheWholeText) {
  envoy::type::matcher::v3::StringMatcher proto;
  proto.mutable_safe_regex()->set_regex("a+");
  const auto matcher = StringMatcher::Parse(proto);
  ASSERT_TRUE(matcher.ok());
  EXPECT_TRUE(matcher->Match("aaa"));
  EXPECT_FALSE(matcher->Match("aab"));
  proto.set_ignore_case(true);
  EXPECT_FALSE(StringMatcher::Parse(proto).ok());
}

TEST(RegexTest, LargeProgramsAreRefusedUnlessAllowed) {
  const std::string large(150, 'a');
  EXPECT_THAT(Regex::Compile(large).status().message(), HasSubstr("> max program size of 100"));
  EXPECT_TRUE(Regex::Compile(large, 1000).ok());
  envoy::type::matcher::v3::RegexMatcher proto;
  proto.set_regex(large);
  proto.mutable_google_re2()->mutable_max_program_size()->set_value(500);
  EXPECT_TRUE(Regex::Parse(proto).ok());
  SetRegexProgramLimit(1000);
  EXPECT_TRUE(Regex::Compile(large).ok());
  SetRegexProgramLimit(100);
}

TEST(RegexTest, SubstitutionsReplaceEveryMatch) {
  envoy::type::matcher::v3::RegexMatchAndSubstitute proto;
  proto.mutable_pattern()->set_regex("/(\\d+)/");
  proto.set_substitution("<\\1>");
  const auto substitution = RegexSubstitution::Parse(proto);
  ASSERT_TRUE(substitution.ok());
  EXPECT_EQ(substitution->Apply("a/1/b/22/c"), "a<1>b<22>c");
  proto.set_substitution("\\2");
  const auto groupless = RegexSubstitution::Parse(proto);
  ASSERT_TRUE(groupless.ok());
  EXPECT_EQ(groupless->Apply("a/1/b/22/c"), "a/1/b/22/c");
}

class HeaderMatching : public testing::Test {
 protected:
  HeaderMatching() : headers_(&arena_) {}
  HeaderMatcher Parse() { return *HeaderMatcher::Parse(proto_); }
  bool Match() { return Parse().Match(headers_); }

  Arena arena_;
  Headers headers_;
  envoy::config::route::v3::HeaderMatcher proto_;
};

TEST_F(HeaderMatching, AbsentHeadersMatchOnlyWhatAsksForAbsence) {
  proto_.set_name("X-A");
  EXPECT_FALSE(Match());  // no condition: presence
  proto_.set_invert_match(true);
  EXPECT_TRUE(Match());
  proto_.mutable_string_match()->set_exact("a");
  EXPECT_FALSE(Match());  // inverted, and still nothing
  proto_.set_treat_missing_header_as_empty(true);
  EXPECT_TRUE(Match());
  proto_.Clear();
  proto_.set_name("x-a");
  proto_.set_present_match(false);
  EXPECT_TRUE(Match());
  headers_.Add("x-a", "");
  EXPECT_FALSE(Match());
}

TEST_F(HeaderMatching, RepeatedHeadersAreLookedAtOneByOne) {
  headers_.Add("x-a", "one");
  headers_.Add("x-a", "two");
  proto_.set_name("x-a");
  proto_.mutable_string_match()->set_exact("two");
  EXPECT_TRUE(Match());
  proto_.set_invert_match(true);
  EXPECT_FALSE(Match());
  proto_.mutable_string_match()->set_exact("one,two");
  EXPECT_TRUE(Match());
  proto_.set_invert_match(false);
  EXPECT_FALSE(Match());
}

TEST_F(HeaderMatching, PseudoHeadersAndRanges) {
  headers_.set_pseudo(HeaderId::kMethod, "GET");
  proto_.set_name(":method");
  proto_.mutable_string_match()->set_exact("GET");
  EXPECT_TRUE(Match());
  EXPECT_TRUE(Match());
  headers_.Add("n", "10");
  proto_.Clear();
  proto_.set_name("n");
  proto_.mutable_range_match()->set_start(10);
  proto_.mutable_range_match()->set_end(11);
  EXPECT_TRUE(Match());
  proto_.mutable_range_match()->set_end(10);
  EXPECT_FALSE(Match());
}

TEST(MetadataMatching, FindsValuesByPath) {
  envoy::type::matcher::v3::MetadataMatcher proto;
  proto.set_filter("ns");
  proto.add_path()->set_key("a");
  proto.add_path()->set_key("b");
  proto.mutable_value()->mutable_list_match()->mutable_one_of()->mutable_string_match()->set_exact(
      "x");
  const auto matcher = MetadataMatcher::Parse(proto);
  ASSERT_TRUE(matcher.ok());
  Metadata metadata;
  EXPECT_FALSE(matcher->Match(metadata));
  metadata.namespaces["ns"] =
      MetadataValue::Fields{{"a", MetadataValue::Fields{{"b", MetadataValue::List{1.0, "x"}}}}};
  EXPECT_TRUE(matcher->Match(metadata));
  EXPECT_EQ(metadata.namespaces["ns"].ToJson(), R"({"a":{"b":[1,"x"]}})");
  proto.set_invert(true);
  EXPECT_FALSE(MetadataMatcher::Parse(proto)->Match(metadata));
}

}  // namespace
}  // namespace remora
