#ifndef REMORA_TESTS_SUPPORT_XDS_PARSING_H_
#define REMORA_TESTS_SUPPORT_XDS_PARSING_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/config_node.h"
#include "xds/node_to_proto.h"
#include "xds/parse_context.h"
#include "xds/validate.h"

namespace remora::xds {

// A proto from YAML; the test fails when it cannot be read.
template <typename Proto>
Proto FromYaml(const std::string& text) {
  Proto proto;
  ParseContext context;
  const absl::StatusOr<ConfigNode> tree = ReadYaml(text, "test");
  EXPECT_TRUE(tree.ok()) << tree.status();
  if (tree.ok()) FillMessage(*tree, &proto, context);
  EXPECT_TRUE(context.ok()) << context.status();
  return proto;
}

// What a parser made of a YAML text, and what it found.
template <typename T>
struct Parsed {
  std::shared_ptr<const T> value;   // null when refused
  std::vector<std::string> errors;  // "path: message"
  std::vector<std::string> warnings;

  const T* operator->() const { return value.get(); }
  std::string AllErrors() const {
    std::string all;
    for (const std::string& error : errors) all += error + "\n";
    return all;
  }
};

// Reads, validates and parses as a static resource.
template <typename T, typename Proto>
Parsed<T> ParseYaml(const std::string& text) {
  Parsed<T> out;
  Proto proto;
  ParseContext context;
  const absl::StatusOr<ConfigNode> tree = ReadYaml(text, "test");
  EXPECT_TRUE(tree.ok()) << tree.status();
  if (!tree.ok()) return out;
  FillMessage(*tree, &proto, context);
  Validate(proto, context);
  auto value = T::Parse(proto, context);
  if (value.ok() && context.ok()) out.value = *std::move(value);
  for (const Finding& error : context.errors()) out.errors.push_back(context.Describe(error));
  for (const Finding& warning : context.warnings()) {
    out.warnings.push_back(context.Describe(warning));
  }
  return out;
}

}  // namespace remora::xds

#endif  // REMORA_TESTS_SUPPORT_XDS_PARSING_H_
