#include "xds/config_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "tests/support/xds/parsing.h"

namespace remora::xds {
namespace {

using Bootstrap = envoy::config::bootstrap::v3::Bootstrap;
using ClusterProto = envoy::config::cluster::v3::Cluster;
using testing::ElementsAre;
using testing::HasSubstr;

template <typename Proto>
Proto Read(TextFormat format, const std::string& text, std::vector<std::string>* errors = nullptr,
           bool lax = false) {
  Proto proto;
  ParseContext context;
  if (lax) context.set_unknown_fields_are_errors(false);
  SourceMap source("f");
  context.set_source(&source);
  ReadInto(format, text, "f", &proto, context, &source);
  if (errors == nullptr) {
    EXPECT_TRUE(context.ok()) << context.status();
  } else {
    for (const Finding& error : context.errors()) errors->push_back(context.Describe(error));
  }
  return proto;
}

TEST(ConfigText, TheEndingOfTheNameSaysHowAFileIsWritten) {
  EXPECT_EQ(FormatOf("/a/b.yaml"), TextFormat::kYaml);
  EXPECT_EQ(FormatOf("b.yml"), TextFormat::kYaml);
  EXPECT_EQ(FormatOf("b.pb"), TextFormat::kBinary);
  EXPECT_EQ(FormatOf("b.pb_text"), TextFormat::kProtoText);
  EXPECT_EQ(FormatOf("/dev/fd/63"), TextFormat::kJson);
}

TEST(ConfigText, BothSpellingsOfFieldNamesAreRead) {
  const auto proto = Read<Bootstrap>(
      TextFormat::kJson,
      R"({"staticResources": {"clusters": [{"name": "c", "connect_timeout": "0.25s"}]}})");
  EXPECT_EQ(proto.static_resources().clusters(0).connect_timeout().nanos(), 250000000);
}

TEST(ConfigText, JsonIsReadAsLaxlyAsLaunchersNeed) {
  const auto proto = Read<Bootstrap>(TextFormat::kJson, R"({
    'node': {id: "a", "cluster": 'b',},
    "dynamic_resources": {"ads_config": {"api_type": "grpc", "grpc_services": {"envoy_grpc": {"cluster_name": "x"}}}},
    "static_resources": {"clusters": [{"name": "1", "per_connection_buffer_limit_bytes": "32768",}],}
  })");
  EXPECT_EQ(proto.node().cluster(), "b");
  EXPECT_EQ(proto.dynamic_resources().ads_config().api_type(),
            envoy::config::core::v3::ApiConfigSource::GRPC);
  EXPECT_EQ(proto.dynamic_resources().ads_config().grpc_services_size(), 1);
  EXPECT_EQ(proto.static_resources().clusters(0).per_connection_buffer_limit_bytes().value(),
            32768u);
}

TEST(ConfigText, JsonCommentsAndJunkBehindTheDocumentAreRefused) {
  std::vector<std::string> errors;
  Read<Bootstrap>(TextFormat::kJson, "{ // no\n}", &errors);
  Read<Bootstrap>(TextFormat::kJson, "{} x", &errors);
  Read<Bootstrap>(TextFormat::kJson, "{\"node\": {\n\"id\": \"a\"", &errors);
  EXPECT_EQ(errors.size(), 3u);
  EXPECT_THAT(errors[2], HasSubstr("f:2"));
}

TEST(ConfigText, JsonStringsMayHoldEveryCharacter) {
  const auto proto =
      Read<Bootstrap>(TextFormat::kJson, R"({"node": {"id": "a\u00e9\ud83d\ude00\n\/"}})");
  EXPECT_EQ(proto.node().id(), "a\xc3\xa9\xf0\x9f\x98\x80\n/");
}

TEST(ConfigText, YamlTruthValuesAreYamlCpps) {
  const auto proto = Read<ClusterProto>(
      TextFormat::kYaml, "name: 'y'\nrespect_dns_ttl: on\nuse_tcp_for_dns_lookups: n\n");
  EXPECT_TRUE(proto.respect_dns_ttl());
  EXPECT_EQ(proto.name(), "y");
  std::vector<std::string> errors;
  Read<ClusterProto>(TextFormat::kYaml, "name: y\n", &errors);
  EXPECT_THAT(errors, ElementsAre("f:1: name: expected a string, got true"));
}

TEST(ConfigText, YamlNumbersMayBeHexadecimalAndStringsMayNotBeNumbers) {
  const auto proto = Read<ClusterProto>(TextFormat::kYaml, "max_requests_per_connection: 0x10\n");
  EXPECT_EQ(proto.max_requests_per_connection().value(), 16u);
  std::vector<std::string> errors;
  Read<ClusterProto>(TextFormat::kYaml, "name: 5\n", &errors);
  EXPECT_THAT(errors, ElementsAre("f:1: name: expected a string, got 5"));
}

TEST(ConfigText, DurationsAndWrappersMayBeMappings) {
  const auto proto = Read<ClusterProto>(
      TextFormat::kYaml,
      "connect_timeout: {seconds: 2, nanos: 5}\nper_connection_buffer_limit_bytes: {value: 7}\n");
  EXPECT_EQ(proto.connect_timeout().seconds(), 2);
  EXPECT_EQ(proto.connect_timeout().nanos(), 5);
  EXPECT_EQ(proto.per_connection_buffer_limit_bytes().value(), 7u);
}

TEST(ConfigText, EnumNamesAreFoundInAnyCaseAndByNumber) {
  EXPECT_EQ(Read<ClusterProto>(TextFormat::kYaml, "lb_policy: least_request").lb_policy(),
            ClusterProto::LEAST_REQUEST);
  EXPECT_EQ(Read<ClusterProto>(TextFormat::kYaml, "lb_policy: 3").lb_policy(),
            ClusterProto::RANDOM);
}

TEST(ConfigText, OfDuplicateKeysTheLastCounts) {
  EXPECT_EQ(Read<ClusterProto>(TextFormat::kYaml, "name: a\nname: b\n").name(), "b");
}

TEST(ConfigText, EveryErrorIsReportedWithLineAndPath) {
  std::vector<std::string> errors;
  Read<Bootstrap>(TextFormat::kYaml,
                  "static_resources:\n"
                  "  clusters:\n"
                  "  - name: c\n"
                  "    connect_timeout: '5'\n"
                  "    lb_policy: FASTEST\n"
                  "    speed: 3\n"
                  "  - {name: d, type: STATIC, cluster_type: {name: x}}\n"
                  "nonsense: {a: 1}\n",
                  &errors);
  ASSERT_EQ(errors.size(), 5u);
  EXPECT_THAT(errors[0], HasSubstr("f:4: static_resources.clusters[0].connect_timeout: expected a "
                                   "duration"));
  EXPECT_THAT(errors[1], HasSubstr("f:5: static_resources.clusters[0].lb_policy: expected one of "
                                   "ROUND_ROBIN"));
  EXPECT_THAT(errors[2], HasSubstr("f:6: static_resources.clusters[0].speed: no such field"));
  EXPECT_THAT(errors[3], HasSubstr("f:7: static_resources.clusters[1].cluster_type: excludes "
                                   "type"));
  EXPECT_THAT(errors[4], HasSubstr("f:8: nonsense: no such field"));
}

TEST(ConfigText, UnknownFieldsMayBeLetPass) {
  std::vector<std::string> errors;
  Read<Bootstrap>(TextFormat::kYaml, "nonsense: 1\n", &errors, /*lax=*/true);
  EXPECT_TRUE(errors.empty());
}

TEST(ConfigText, AnysAreReadByTheirType) {
  using Filter = envoy::config::listener::v3::Filter;
  const auto filter = Read<Filter>(
      TextFormat::kYaml,
      "name: r\ntyped_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router."
      "v3.Router, suppress_envoy_headers: true}\n");
  envoy::extensions::filters::http::router::v3::Router router;
  ASSERT_TRUE(filter.typed_config().UnpackTo(&router));
  EXPECT_TRUE(router.suppress_envoy_headers());
  std::vector<std::string> errors;
  Read<Filter>(TextFormat::kYaml,
               "name: r\ntyped_config: {'@type': type.googleapis.com/no.such.Thing}\n", &errors);
  EXPECT_THAT(errors,
              ElementsAre("f:2: typed_config: unknown type type.googleapis.com/no.such.Thing"));
}

TEST(ConfigText, TypesThatAreNotCompiledInAreKnownByDescriptor) {
  using Filter = envoy::config::listener::v3::Filter;
  const std::string thrift =
      "name: t\ntyped_config: {'@type': type.googleapis.com/envoy.extensions.filters.network."
      "thrift_proxy.v3.ThriftProxy, stat_prefix: a";
  const auto filter = Read<Filter>(TextFormat::kYaml, thrift + "}\n");
  EXPECT_FALSE(filter.typed_config().value().empty());
  std::vector<std::string> errors;
  Read<Filter>(TextFormat::kYaml, thrift + ", speed: 1}\n", &errors);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0], HasSubstr("typed_config.speed: no such field"));
}

TEST(ConfigText, StructsKeepTheirShape) {
  const auto metadata = Read<envoy::config::core::v3::Metadata>(
      TextFormat::kYaml, "filter_metadata: {envoy.lb: {a: 1, b: [x, true, null], c: {d: '2'}}}\n");
  const auto& fields = metadata.filter_metadata().at("envoy.lb").fields();
  EXPECT_EQ(fields.at("a").number_value(), 1);
  EXPECT_EQ(fields.at("b").list_value().values_size(), 3);
  EXPECT_EQ(fields.at("c").struct_value().fields().at("d").string_value(), "2");
}

TEST(ConfigText, TextProtosNameTheLine) {
  const auto proto = Read<Bootstrap>(TextFormat::kProtoText, "node { id: \"a\" }");
  EXPECT_EQ(proto.node().id(), "a");
  std::vector<std::string> errors;
  Read<Bootstrap>(TextFormat::kProtoText, "node {\n no: 1 }", &errors);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0], HasSubstr("f:2"));
}

TEST(ConfigText, BinaryProtosReportUnknownFieldsByNumber) {
  Bootstrap proto;
  proto.mutable_node()->set_id("a");
  std::string bytes = proto.SerializeAsString();
  EXPECT_EQ(Read<Bootstrap>(TextFormat::kBinary, bytes).node().id(), "a");
  bytes += std::string("\xba\x3e\x00", 3);  // field 999, empty
  std::vector<std::string> errors;
  Read<Bootstrap>(TextFormat::kBinary, bytes, &errors);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0], HasSubstr("unknown field number 999"));
}

TEST(ConfigText, DeepAndExplodingDocumentsAreRefused) {
  std::vector<std::string> errors;
  Read<Bootstrap>(TextFormat::kJson, std::string(100000, '['), &errors);
  std::string bomb = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string last = std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + last + ", *a" + last +
            "]\n";
  }
  Read<Bootstrap>(TextFormat::kYaml, bomb, &errors);
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_THAT(errors[0], HasSubstr("nested too deep"));
  EXPECT_THAT(errors[1], HasSubstr("too many nodes"));
}

}  // namespace
}  // namespace remora::xds
