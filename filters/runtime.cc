#include "filters/runtime.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/type/v3/percent.pb.h"
#include "filters/metadata.h"
#include "google/protobuf/struct.pb.h"

namespace remora {
namespace {

using google::protobuf::Struct;

uint32_t DenominatorOf(absl::string_view name) {
  if (name == "TEN_THOUSAND") return 10000;
  if (name == "MILLION") return 1000000;
  return 100;
}

// A struct with a numerator is a fraction, every other a level of keys.
std::optional<FractionalPercent> AsFraction(const MetadataValue& value) {
  const MetadataValue* numerator = value.Find("numerator");
  const MetadataValue* denominator = value.Find("denominator");
  if (numerator == nullptr && denominator == nullptr) return std::nullopt;
  FractionalPercent fraction;
  if (numerator != nullptr) {
    if (numerator->number() == nullptr) return std::nullopt;
    fraction.numerator = static_cast<uint32_t>(*numerator->number());
  }
  if (denominator != nullptr && denominator->text() != nullptr) {
    fraction.denominator = DenominatorOf(*denominator->text());
  }
  return fraction;
}

Runtime::Value ScalarValue(const MetadataValue& from) {
  Runtime::Value value;
  if (const bool* truth = from.boolean()) {
    value.text = *truth ? "true" : "false";
    value.boolean = *truth;
    return value;
  }
  value.text = from.text() != nullptr ? *from.text() : from.ToJson();
  double number = 0;
  if (absl::SimpleAtod(value.text, &number)) value.number = number;
  uint64_t integer = 0;
  if (absl::SimpleAtoi(value.text, &integer)) {
    value.integer = integer;
  } else if (value.number.has_value() && *value.number >= 0 && *value.number < 1.8e19) {
    value.integer = static_cast<uint64_t>(*value.number);
  }
  if (value.text == "true") value.boolean = true;
  if (value.text == "false") value.boolean = false;
  return value;
}

void Flatten(const std::string& prefix, const MetadataValue& from, Runtime::Layer* layer) {
  if (const auto fraction = AsFraction(from)) {
    Runtime::Value value;
    value.text = from.ToJson();
    value.fraction = fraction;
    layer->values[prefix] = std::move(value);
    return;
  }
  const auto* fields = from.fields();
  if (fields == nullptr) {
    layer->values[prefix] = ScalarValue(from);
    return;
  }
  for (const auto& [key, member] : *fields) {
    Flatten(prefix.empty() ? key : absl::StrCat(prefix, ".", key), member, layer);
  }
}

}  // namespace

FractionalPercent FractionalPercent::From(const envoy::type::v3::FractionalPercent& proto) {
  FractionalPercent out;
  out.numerator = proto.numerator();
  switch (proto.denominator()) {
    case envoy::type::v3::FractionalPercent::TEN_THOUSAND:
      out.denominator = 10000;
      break;
    case envoy::type::v3::FractionalPercent::MILLION:
      out.denominator = 1000000;
      break;
    default:
      out.denominator = 100;
  }
  return out;
}

Runtime::Runtime(std::vector<Layer> layers) : layers_(std::move(layers)) {
  for (const Layer& layer : layers_) {
    for (const auto& [key, value] : layer.values) merged_[key] = &value;
  }
}

Runtime::Layer Runtime::LayerFrom(absl::string_view name, const Struct& values) {
  Layer layer;
  layer.name = std::string(name);
  for (const auto& [key, value] : values.fields()) {
    Flatten(key, MetadataValue::From(value), &layer);
  }
  return layer;
}

const Runtime::Value* Runtime::Find(absl::string_view key) const {
  const auto found = merged_.find(key);
  return found == merged_.end() ? nullptr : found->second;
}

uint64_t Runtime::Integer(absl::string_view key, uint64_t otherwise) const {
  const Value* value = Find(key);
  return value == nullptr ? otherwise : value->integer.value_or(otherwise);
}

double Runtime::Number(absl::string_view key, double otherwise) const {
  const Value* value = Find(key);
  return value == nullptr ? otherwise : value->number.value_or(otherwise);
}

bool Runtime::Boolean(absl::string_view key, bool otherwise) const {
  const Value* value = Find(key);
  return value == nullptr ? otherwise : value->boolean.value_or(otherwise);
}

FractionalPercent Runtime::Fraction(absl::string_view key, FractionalPercent otherwise) const {
  const Value* value = Find(key);
  if (value == nullptr) return otherwise;
  if (value->fraction.has_value()) return *value->fraction;
  if (value->integer.has_value()) {
    const uint64_t percent = *value->integer;
    return {static_cast<uint32_t>(percent > 100 ? 100 : percent), 100};
  }
  return otherwise;
}

RuntimeFraction RuntimeFraction::From(
    const envoy::config::core::v3::RuntimeFractionalPercent& proto) {
  RuntimeFraction out;
  out.otherwise = FractionalPercent::From(proto.default_value());
  out.key = proto.runtime_key();
  return out;
}

}  // namespace remora
