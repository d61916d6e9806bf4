// Release: lets a std::unique_ptr own what a C library gave, with the function that frees it:
//   using Bio = std::unique_ptr<BIO, Release<BIO_free>>;
#pragma once

namespace ebbtide {

template <auto release>
struct Release {
  template <class Object>
  void operator()(Object* object) const {
    release(object);
  }
};

}  // namespace ebbtide
