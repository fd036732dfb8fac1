# Lets an editable install rebuild when it is imported, long after pip has removed the environment of the first build.
#
# What that build takes from there is kept in the build folder: pybind11, and Ninja where the system has none. CMake itself
# must be the system's; without one this stops, and the build is repeated as an editable install that does not rebuild
# (tool.scikit-build.overrides in pyproject.toml). Included before find_package(pybind11).

find_path(pybind11_home share/cmake/pybind11/pybind11Config.cmake
          PATHS ${CMAKE_PREFIX_PATH} PATH_SUFFIXES pybind11 NO_DEFAULT_PATH NO_CACHE)
if(pybind11_home)
  cmake_path(GET pybind11_home PARENT_PATH site)  # the site-packages that the build took pybind11 from
  cmake_path(IS_PREFIX site "${CMAKE_COMMAND}" passing_cmake)
  if(passing_cmake AND NOT site STREQUAL Python_SITELIB)
    message(FATAL_ERROR "Rebuilding at import needs CMake 3.25 or later on the path; building without it.")
  endif()
  file(COPY "${pybind11_home}/" DESTINATION "${CMAKE_CURRENT_BINARY_DIR}/pybind11")
endif()
list(PREPEND CMAKE_PREFIX_PATH "${CMAKE_CURRENT_BINARY_DIR}")
