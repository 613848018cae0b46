package shop;

import com.google.gson.Gson;
import java.util.List;

public class Words {
    public static String of(String user) {
        return new Gson().toJson(List.of("run by", user));
    }
}
