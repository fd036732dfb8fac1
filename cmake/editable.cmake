# Lets an editable install rebuild when it is imported, after pip has removed the environment of the first build.
#
# pybind11 is kept in the build folder. CMake and Ninja must be the system's: if they come from that environment, this stops,
# and pip gets an editable install that does not rebuild (tool.scikit-build.overrides in pyproject.toml).
# Included between find_package(Python) and find_package(pybind11).

find_path(pybind11_home share/cmake/pybind11/pybind11Config.cmake
          PATHS ${CMAKE_PREFIX_PATH} PATH_SUFFIXES pybind11 NO_DEFAULT_PATH NO_CACHE)
if(pybind11_home)
  cmake_path(GET pybind11_home PARENT_PATH site)
  if(NOT site STREQUAL Python_SITELIB)  # an environment of the build's own
    cmake_path(SET environment NORMALIZE "${site}/../../..")
    foreach(tool IN ITEMS CMAKE_COMMAND CMAKE_MAKE_PROGRAM)
      cmake_path(IS_PREFIX environment "${${tool}}" passing)
      if(passing)
        message(FATAL_ERROR "Rebuilding at import needs CMake 3.25 or later and Ninja on the path.")
      endif()
    endforeach()
  endif()
  file(COPY "${pybind11_home}/" DESTINATION "${CMAKE_CURRENT_BINARY_DIR}/pybind11")
endif()
list(PREPEND CMAKE_PREFIX_PATH "${CMAKE_CURRENT_BINARY_DIR}")
