#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata.pb.h"
#include "envoy/extensions/filters/http/set_metadata/v3/set_metadata.pb.h"
#include "tests/support/filters/filter_harness.h"

namespace remora {
namespace {

namespace http = envoy::extensions::filters::http;

template <typename Proto>
struct Harness : testing::FilterHarness {
  explicit Harness(const std::string& text)
      : FilterHarness(Proto::descriptor()->full_name(), Encode(text)) {}
  static std::string Encode(const std::string& text) {
    Proto proto;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
    return proto.SerializeAsString();
  }
  std::string Json(const std::string& space) {
    const auto found = metadata.namespaces.find(space);
    return found == metadata.namespaces.end() ? "" : found->second.ToJson();
  }
};

using ToMetadata = Harness<http::header_to_metadata::v3::Config>;
using SetMetadata = Harness<http::set_metadata::v3::Config>;

TEST(HeaderToMetadataTest, ValuesHaveTypesAndPlaces) {
  ToMetadata harness(R"(
    request_rules { header: "X-Ver" remove: true
                    on_header_present { metadata_namespace: "ns" key: "ver" } }
    request_rules { header: "x-num" on_header_present { key: "num" type: NUMBER } }
    request_rules { header: "x-bad" on_header_present { key: "bad" type: NUMBER } }
    request_rules { header: "x-b64" on_header_present { key: "b64" encode: BASE64 } }
    request_rules { header: "x-re" on_header_present { key: "re" regex_value_rewrite {
        pattern { regex: "^/(\\w+)/.*$" } substitution: "\\1" } } }
    request_rules { header: "x-none" on_header_missing { key: "none" value: "gone" } }
    request_rules { cookie: "ck" on_header_present { key: "ck" } })");
  harness.request.Add("x-ver", "a");
  harness.request.Add("x-ver", "b");
  harness.request.Add("x-num", "4.5");
  harness.request.Add("x-bad", "abc");
  harness.request.Add("x-b64", "aGVsbG8=");
  harness.request.Add("x-re", "/foo/bar");
  harness.request.Add("cookie", "a=b; ck=v");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Json("ns"), R"({"ver":"a,b"})");
  EXPECT_EQ(harness.Json("envoy.filters.http.header_to_metadata"),
            R"({"b64":"hello","ck":"v","none":"gone","num":4.5,"re":"foo"})");
  EXPECT_EQ(harness.Value(harness.request, "x-ver"), "(none)");
}

TEST(HeaderToMetadataTest, ResponsesToo) {
  ToMetadata harness(R"(response_rules { header: "x-r" on_header_present { key: "r" } })");
  harness.response.Add("x-r", "q");
  harness.Response();
  EXPECT_EQ(harness.Json("envoy.filters.http.header_to_metadata"), R"({"r":"q"})");
}

TEST(SetMetadataTest, OverwritingMergesAndMustBeAllowed) {
  SetMetadata harness(R"(
    metadata { metadata_namespace: "sm" value {
        fields { key: "a" value { string_value: "b" } } fields { key: "n" value { number_value: 1 } } } }
    metadata { metadata_namespace: "sm" value { fields { key: "a" value { string_value: "c" } } } }
    metadata { metadata_namespace: "sm" allow_overwrite: true value {
        fields { key: "a" value { string_value: "d" } } } })");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Json("sm"), R"({"a":"d","n":1})");
  EXPECT_EQ(harness.Stat("overwrite_denied"), 1u);
}

}  // namespace
}  // namespace remora
