#include "xds/protos/descriptor_set.h"

#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "envoy/config/route/v3/route_components.pb.h"

namespace remora::xds {
namespace {

TEST(ApiDescriptors, KnowExtensionsThatAreNotCompiled) {
  EXPECT_NE(ApiDescriptors().FindMessageTypeByName("envoy.extensions.filters.http.lua.v3.Lua"),
            nullptr);
}

TEST(ApiDescriptors, ParseAndPrintAMessageWithoutItsClass) {
  const auto* type = ApiDescriptors().FindMessageTypeByName("envoy.config.route.v3.VirtualHost");
  ASSERT_NE(type, nullptr);
  google::protobuf::DynamicMessageFactory factory;
  std::unique_ptr<google::protobuf::Message> message(factory.GetPrototype(type)->New());
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(R"({"name":"v","domains":["*"]})", message.get())
          .ok());
  envoy::config::route::v3::VirtualHost host;
  ASSERT_TRUE(host.ParseFromString(message->SerializeAsString()));
  EXPECT_EQ(host.name(), "v");
  EXPECT_EQ(host.domains(0), "*");
}

TEST(ApiDescriptors, HaveTheFieldsAddedToThePackage) {
  envoy::config::route::v3::RouteMatch match;
  match.add_cookies()->set_name("session");
  EXPECT_EQ(match.GetDescriptor()->FindFieldByName("cookies")->number(), 17);
  EXPECT_NE(ApiDescriptors().FindMessageTypeByName("envoy.config.route.v3.CookieMatcher"), nullptr);
}

}  // namespace
}  // namespace remora::xds
