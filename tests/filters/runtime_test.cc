#include "filters/runtime.h"

#include <gtest/gtest.h>

#include "envoy/config/core/v3/base.pb.h"
#include "google/protobuf/struct.pb.h"

namespace remora {
namespace {

google::protobuf::Struct Fields(const std::string& key, const google::protobuf::Value& value) {
  google::protobuf::Struct out;
  (*out.mutable_fields())[key] = value;
  return out;
}

google::protobuf::Value Text(const std::string& text) {
  google::protobuf::Value value;
  value.set_string_value(text);
  return value;
}

google::protobuf::Value Number(double number) {
  google::protobuf::Value value;
  value.set_number_value(number);
  return value;
}

TEST(RuntimeTest, LaterLayersWin) {
  const Runtime runtime({Runtime::LayerFrom("a", Fields("k", Number(1))),
                         Runtime::LayerFrom("b", Fields("k", Text("2")))});
  EXPECT_EQ(runtime.Integer("k", 0), 2u);
  EXPECT_EQ(runtime.size(), 1u);
  EXPECT_EQ(runtime.layers().size(), 2u);
}

TEST(RuntimeTest, TextIsReadAsWhatIsAskedFor) {
  const Runtime runtime({Runtime::LayerFrom("a", Fields("k", Text("1.5"))),
                         Runtime::LayerFrom("b", Fields("t", Text("true")))});
  EXPECT_EQ(runtime.Number("k", 0), 1.5);
  EXPECT_EQ(runtime.Integer("k", 9), 1u);
  EXPECT_TRUE(runtime.Boolean("t", false));
  EXPECT_EQ(runtime.Integer("t", 9), 9u);
  EXPECT_EQ(runtime.Find("k")->text, "1.5");
}

TEST(RuntimeTest, FractionsByStructOrByPercent) {
  google::protobuf::Value fraction;
  auto& fields = *fraction.mutable_struct_value()->mutable_fields();
  fields["numerator"] = Number(5);
  fields["denominator"] = Text("TEN_THOUSAND");
  google::protobuf::Struct values = Fields("f", fraction);
  (*values.mutable_fields())["p"] = Number(30);
  (*values.mutable_fields())["all"] = Number(250);
  const Runtime runtime({Runtime::LayerFrom("a", values)});
  EXPECT_EQ(runtime.Fraction("f", {}).denominator, 10000u);
  EXPECT_TRUE(runtime.Fraction("f", {}).Includes(10004));
  EXPECT_FALSE(runtime.Fraction("f", {}).Includes(5));
  EXPECT_EQ(runtime.Fraction("p", {}).numerator, 30u);
  EXPECT_TRUE(runtime.Fraction("all", {}).Includes(99));
  EXPECT_EQ(runtime.Fraction("none", {7, 100}).numerator, 7u);
}

TEST(RuntimeTest, ADefaultFractionIsReplacedByItsKey) {
  envoy::config::core::v3::RuntimeFractionalPercent proto;
  proto.mutable_default_value()->set_numerator(1);
  proto.set_runtime_key("k");
  const RuntimeFraction fraction = RuntimeFraction::From(proto);
  EXPECT_TRUE(fraction.Includes(nullptr, 0));
  EXPECT_FALSE(fraction.Includes(nullptr, 1));
  const Runtime runtime({Runtime::LayerFrom("a", Fields("k", Number(0)))});
  EXPECT_FALSE(fraction.Includes(&runtime, 0));
}

}  // namespace
}  // namespace remora
