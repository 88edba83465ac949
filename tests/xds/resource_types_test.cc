#include "xds/resource_types.h"

#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "envoy/config/cluster/v3/cluster.pb.h"

namespace remora::xds {
namespace {

using testing::HasSubstr;

google::protobuf::Any ClusterAny(const std::string& name) {
  envoy::config::cluster::v3::Cluster proto;
  proto.set_name(name);
  google::protobuf::Any any;
  any.PackFrom(proto);
  return any;
}

TEST(ResourceTypesTest, TheOrderIsThatOfApplication) {
  std::string order;
  for (const ResourceType& type : ResourceTypes()) absl::StrAppend(&order, type.short_name, " ");
  EXPECT_EQ(order, "CDS EDS LDS RDS SDS SRDS VHDS ECDS RTDS ");
  for (const ResourceType& type : ResourceTypes()) {
    EXPECT_EQ(&TypeOf(type.kind), &type);
    EXPECT_EQ(FindResourceType(type.type_url), &type);
  }
  EXPECT_EQ(FindResourceType("type.googleapis.com/envoy.api.v2.Cluster"), nullptr);
}

TEST(ResourceTypesTest, BytesBecomePlainTypes) {
  ParseContext context(ParseContext::Origin::kDynamic);
  const auto resource = ParseResource(ClusterAny("c"), context);
  ASSERT_TRUE(resource.ok()) << resource.status();
  EXPECT_EQ(resource->kind, ResourceKind::kCluster);
  EXPECT_EQ(resource->name, "c");
  EXPECT_EQ(std::get<std::shared_ptr<const Cluster>>(resource->value)->name, "c");
}

TEST(ResourceTypesTest, RulesHoldForDynamicResourcesToo) {
  ParseContext context(ParseContext::Origin::kDynamic);
  EXPECT_THAT(ParseResource(ClusterAny(""), context).status().message(),
              HasSubstr("name: value length must be at least 1"));
  google::protobuf::Any broken = ClusterAny("c");
  broken.set_value("\xff");
  EXPECT_FALSE(ParseResource(broken, context).ok());
}

TEST(ResourceTypesTest, NamesAreReadEvenOfBadResources) {
  envoy::config::cluster::v3::Cluster proto;
  proto.set_name("bad");
  proto.mutable_connect_timeout()->set_seconds(-1);
  EXPECT_EQ(TypeOf(ResourceKind::kCluster).name(proto.SerializeAsString()), "bad");
}

TEST(ResourceTypesTest, OneBadResourceOfAFileDoesNotSpoilTheOthers) {
  const std::string path = absl::StrCat("/tmp/remora-cds-", getpid(), ".yaml");
  const std::string type = "'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster";
  std::ofstream(path) << "version_info: '7'\nresources:\n- {" << type << ", name: good}\n- {"
                      << type
                      << ", name: bad,\n   type: EDS}\n- {'@type': "
                         "type.googleapis.com/envoy.config.listener.v3.Listener, name: other}\n";
  const auto read = ReadResourceFile(path, TypeOf(ResourceKind::kCluster).type_url);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->version, "7");
  ASSERT_EQ(read->items.size(), 3u);
  EXPECT_TRUE(read->items[0].resource.ok());
  EXPECT_EQ(read->items[1].name, "bad");
  EXPECT_THAT(read->items[1].resource.status().message(),
              HasSubstr(".yaml:4: resources[1].eds_cluster_config"));
  EXPECT_THAT(read->items[2].resource.status().message(), HasSubstr("does not match"));
  std::ofstream(path) << "resources: [{" << type << ", speed: 1}]";
  const auto lax = ReadResourceFile(path, TypeOf(ResourceKind::kCluster).type_url);
  ASSERT_TRUE(lax.ok()) << lax.status();
  EXPECT_THAT(lax->warnings, testing::ElementsAre(HasSubstr("speed: no such field")));
  unlink(path.c_str());
  EXPECT_FALSE(ReadResourceFile(path, TypeOf(ResourceKind::kCluster).type_url).ok());
}

}  // namespace
}  // namespace remora::xds
