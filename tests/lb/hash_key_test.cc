#include "lb/hash_key.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace remora::lb {
namespace {

TEST(XxHash64, HasItsPublishedValues) {
  EXPECT_EQ(XxHash64(""), 0xef46db3751d8e999u);
  EXPECT_EQ(XxHash64("", 1), 0xd5afba1336a3be4bu);
  EXPECT_EQ(XxHash64("abc"), 0x44bc2cf5ad770999u);
}

TEST(MurmurHash2, IsLibstdcxxsHash) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(MurmurHash2(text), std::hash<std::string>()(text)) << text.size();
    text.push_back(static_cast<char>('a' + i));
  }
}

TEST(HashKey, OneValueIsItsHash) {
  HashKey key;
  EXPECT_FALSE(key.has_value());
  key.Add("v");
  EXPECT_TRUE(key.has_value());
  EXPECT_EQ(key.value(), XxHash64("v"));
}

TEST(HashKey, RotatesBetweenValues) {
  HashKey key;
  key.AddHash(0x8000000000000001);
  key.AddHash(5);
  EXPECT_EQ(key.value(), 3u ^ 5u);
  HashKey twice;
  twice.Add("v");
  twice.Add("v");
  EXPECT_NE(twice.value(), 0u) << "equal values must not cancel each other out";
}

TEST(HashKey, SeveralValuesOfAHeaderDoNotDependOnTheirOrder) {
  std::vector<absl::string_view> values = {"b", "a"};
  HashKey key;
  key.AddAll(absl::MakeSpan(values));
  EXPECT_EQ(key.value(), XxHash64("b", XxHash64("a")));
}

}  // namespace
}  // namespace remora::lb
